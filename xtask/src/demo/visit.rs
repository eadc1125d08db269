//! `--keep`: everything stays up for a visitor until Enter or Ctrl-C.

use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal};

use super::persistence;
use super::stage::{MASTER, Stage, USERS, address, password};
use crate::talk::{say, show};

pub(super) fn receive(stage: &Stage) -> anyhow::Result<()> {
    persistence::plant(stage)?;
    show(&guide(stage))?;
    if io::stdin().is_terminal() {
        say("Enter or Ctrl-C ends everything.");
        io::stdin().lock().read_line(&mut String::new())?;
        return Ok(());
    }
    // Without a terminal nobody can press Enter: wait for the signal. The lab's guard cleans up after us.
    loop {
        std::thread::park();
    }
}

fn guide(stage: &Stage) -> String {
    let (postfix, dovecot) = (&stage.lab.postfix, &stage.lab.dovecot);
    let (program, config) = (stage.programs.mailwarden.display(), stage.config());
    let config = config.display();
    let accounts: Vec<String> =
        USERS.iter().map(|user| format!("{} / {}", address(user), password(user))).collect();
    let mut out = String::from("\nEverything stays up\n-------------------\n");
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(out, "  {name:<12} {value}");
    };
    row("SMTP", &format!("127.0.0.1:{} (XCLIENT is allowed, to come from elsewhere)", postfix.smtp_port()));
    row("submission", &format!("127.0.0.1:{} with AUTH PLAIN", postfix.submission_port()));
    row(
        "IMAP",
        &format!("127.0.0.1:{} with STARTTLS, :{} with TLS", dovecot.imap_port(), dovecot.imaps_port()),
    );
    row("ManageSieve", &format!("127.0.0.1:{} with STARTTLS", dovecot.sieve_port()));
    row("CA", &stage.lab.ca().authority().display().to_string());
    row("gate", &format!("unix:{}", stage.lab.milter_socket().display()));
    row("users", &accounts[..3].join("   "));
    row("", &accounts[3..].join("   "));
    row("master user", &format!("{} / {}", dovecot.master_user(), password(MASTER)));
    row("files", &stage.lab.path().display().to_string());
    out.push_str("\nThe persistence is planted again, so that there is something to find. Try:\n");
    for arguments in [
        "sweep --all",
        "who sales@example.test",
        "explain --from x@vendor.test --header-from 'Vault <vault@example.test>' --rcpt jane@example.test",
        "ledger show",
    ] {
        let _ = writeln!(out, "  {program} {arguments} --config {config}");
    }
    let _ = writeln!(out, "\nTo stop it from elsewhere: kill {}", std::process::id());
    out
}
