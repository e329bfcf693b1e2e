//! Who makes changes: the people of Microsoft's own demonstration tenant.

/// A user of the emulated tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) email: &'static str,
    pub(crate) id: &'static str,
}

impl Person {
    pub(crate) fn any(rng: &mut fastrand::Rng) -> Self {
        // The list is not empty; the fallback keeps this free of a panic.
        rng.choice(PEOPLE).copied().unwrap_or(ADELE)
    }
}

const ADELE: Person = Person { name: "Adele Vance", email: "adelev@contoso.example", id: "87d349ed-44d7-43e1-9a83-5f2406dee5bd" };

const PEOPLE: &[Person] = &[
    ADELE,
    Person { name: "Alex Wilber", email: "alexw@contoso.example", id: "4782e723-f4f4-4af3-a76e-25e3bab0d896" },
    Person { name: "Diego Siciliani", email: "diegos@contoso.example", id: "0a1d8ca2-3b68-4b4c-8a0a-6c5f7f2d9e11" },
    Person { name: "Isaiah Langer", email: "isaiahl@contoso.example", id: "c3a5f6d1-90b7-4e52-b1f4-2d6e8a7c4b03" },
    Person { name: "Megan Bowen", email: "meganb@contoso.example", id: "48d31887-5fad-4d73-a9f5-3c356e68a038" },
    Person { name: "Nestor Wilke", email: "nestorw@contoso.example", id: "e1f7c9a4-6d20-4b8e-9c35-71b2d0f8a6e5" },
];
