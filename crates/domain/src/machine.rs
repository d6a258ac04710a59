//! What the state machines have in common.

/// What a fact does to a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<S> {
    /// It moves the thing on.
    Move(S),
    /// It says nothing new: a duplicate, or older than what is known.
    Stay,
    /// It cannot happen here: a caller's mistake, or a statement that must not be believed.
    Refuse,
}
