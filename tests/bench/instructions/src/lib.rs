//! There is nothing here: what is counted stands in `benches/`, and a package has a target.
