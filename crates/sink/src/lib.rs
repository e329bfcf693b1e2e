//! What a drivetap sink is: the trait, its outcomes, and the contract suite that every sink passes.
