//! A filter to run behind an MTA: `cargo run --example tag -- inet:127.0.0.1:8890`. It adds a field with the
//! number of recipients to each message and refuses one recipient.
//!
//! In Postfix: `smtpd_milters = inet:127.0.0.1:8890`.

use std::error::Error;

use milter_proto::listen::{ListenAddress, SocketAccess};
use milter_proto::server::{PeerAddress, Server};
use milter_proto::{
    Actions, Context, Edit, EndOfMessage, EventVerdict, Filter, Mail, Protocol, Rcpt, SmtpReply, Wanted,
};
use tokio::sync::watch;

#[derive(Default)]
struct Tag {
    recipients: usize,
}

impl Filter for Tag {
    fn mail(&mut self, _: &Context<'_>, _: &Mail<'_>) -> EventVerdict {
        self.recipients = 0;
        EventVerdict::Continue
    }

    async fn rcpt(&mut self, _: &Context<'_>, rcpt: &Rcpt<'_>) -> EventVerdict {
        if rcpt.recorded().starts_with(b"nobody@") {
            return EventVerdict::Refuse(SmtpReply::refused("Nobody lives here"));
        }
        self.recipients += 1;
        EventVerdict::Continue
    }

    async fn end_of_message(&mut self, _: &Context<'_>) -> EndOfMessage {
        match Edit::add_header(b"X-Recipients", self.recipients.to_string().as_bytes()) {
            Ok(edit) => EndOfMessage::accept_with(vec![edit]),
            Err(_) => EndOfMessage::refuse(SmtpReply::local_trouble()),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "inet:127.0.0.1:8890".to_owned());
    let listener = address.parse::<ListenAddress>()?.bind(SocketAccess::default()).await?;
    let silent = Protocol::NR_CONNECT | Protocol::NR_HELO | Protocol::NR_MAIL;
    let absent = Protocol::NO_HEADERS | Protocol::NO_END_OF_HEADERS | Protocol::NO_BODY | Protocol::NO_DATA;
    let wanted = Wanted::new().require_actions(Actions::ADD_HEADERS).protocol(silent | absent);
    let (stop, stopping) = watch::channel(false);
    let server = Server::new(listener, wanted, |_: &PeerAddress| Tag::default());
    tokio::select! {
        _ = server.run(stopping) => {}
        _ = tokio::signal::ctrl_c() => drop(stop),
    }
    Ok(())
}
