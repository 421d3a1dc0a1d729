//! The types of terms, as far as a program needs them to be taken by OPA.

/// A type.
#[derive(Clone, PartialEq, Debug)]
pub enum Ty {
    Null,
    Bool,
    Num,
    Str,
    Any,
    Arr(Box<Ty>),
    Set(Box<Ty>),
    /// Keys are texts.
    Obj(Box<Ty>),
    /// A record of the documents, by its number.
    Rec(u8),
}

impl Ty {
    pub fn arr(item: Ty) -> Ty {
        Ty::Arr(Box::new(item))
    }

    pub fn set(item: Ty) -> Ty {
        Ty::Set(Box::new(item))
    }

    pub fn obj(member: Ty) -> Ty {
        Ty::Obj(Box::new(member))
    }
}
