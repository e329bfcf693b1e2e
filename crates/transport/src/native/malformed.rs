/// Text that is no packet. Says what is wrong with it, and holds nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No text at all.
    #[error("an empty packet")]
    Empty,
    /// A first character that is no packet type.
    #[error("unknown packet type")]
    Type,
    /// A binary packet's count of attachments is missing, not ended by `-`, or above
    /// [`MAX_ATTACHMENTS`](super::socket::MAX_ATTACHMENTS).
    #[error("a bad count of attachments")]
    Attachments,
    /// An acknowledgement id above 2⁶⁴ − 1.
    #[error("an acknowledgement id that is no number")]
    Id,
    /// Data where this type has none, none where it has some, or of another shape than this type's.
    #[error("data that does not belong to this packet type")]
    Data,
    /// Data that is not JSON.
    #[error("not JSON")]
    Json,
    /// An event whose first argument is neither a string nor a number.
    #[error("an event without a name")]
    Name,
    /// A handshake without a session id or ping values.
    #[error("a handshake without a session id and ping values")]
    Handshake,
}
