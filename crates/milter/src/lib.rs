#![doc = include_str!("../README.md")]

mod closing;
mod command;
mod edit;
mod filter;
mod frame;
#[cfg(feature = "server")]
pub mod listen;
mod macros;
#[cfg(feature = "mta")]
mod mta;
mod negotiate;
mod reply;
#[cfg(feature = "server")]
pub mod server;
mod session;
mod smtp_reply;
mod stage;
mod verdict;

pub use closing::{CloseReason, Garbage, is_negotiation};
pub use command::{
    ABORT, Arguments, ClientAddress, Command, CommandError, Connect, Header, MACRO, MacroList, Mail, OPTNEG,
    QUIT, QUIT_NC, Rcpt,
};
pub use edit::{Edit, EditError, MAX_EDIT_OCTETS};
pub use filter::{Context, Filter, dispatch};
pub use frame::{BODY_CHUNK, DEFAULT_FRAME_CAP, FRAME_SLACK, Frame, FrameDecoder, FrameError, LENGTH_OCTETS};
pub use macros::{MacroError, MacroLimits, Macros};
#[cfg(feature = "mta")]
pub use mta::{NegotiationAnswer, ReplyError};
pub use negotiate::{
    Actions, MAX_REQUESTED_MACROS, MAX_VERSION, MIN_VERSION, MacroRequestError, MacroStage, Negotiated,
    NegotiationError, Offer, Protocol, Wanted, negotiate,
};
pub use reply::Reply;
pub use session::{AnswerError, Event, Received, Session, SessionError};
pub use smtp_reply::{MAX_LINE_OCTETS, MAX_LINES, SmtpReply, SmtpReplyError};
pub use stage::Stage;
pub use verdict::{Answer, ConnectionVerdict, ContentVerdict, EndOfMessage, EventVerdict, FinalVerdict};
