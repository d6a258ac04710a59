//! The type that all state machines answer with.

/// The effect of a fact on a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<S> {
    /// It moves the thing on.
    Move(S),
    /// It says nothing new: a duplicate, or older than what is known.
    Stay,
    /// It cannot happen here: a caller's mistake, or a statement that must not be believed.
    Refuse,
}
