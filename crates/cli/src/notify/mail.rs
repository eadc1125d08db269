//! A letter through sendmail(1).

use std::process::Stdio;

use mailwarden_address::Address;
use mailwarden_report::Notice;
use mailwarden_settings::Notify;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::failure::Failure;

/// RFC 5322 §2.1.1: a line has at most 998 characters.
const LONGEST_LINE: usize = 900;

/// The whole letter.
pub(super) fn letter(notify: &Notify, notice: &Notice) -> Result<String, Failure> {
    for address in notify.mail_to.iter().chain(Some(&notify.mail_from).filter(|from| !from.is_empty())) {
        checked(address)?;
    }
    let from = match notify.mail_from.as_str() {
        "" => String::new(),
        from => format!("From: <{from}>\n"),
    };
    let to = notify.mail_to.iter().map(|to| format!("<{to}>")).collect::<Vec<_>>().join(",\n ");
    let body: String = notice.letter().lines().map(|line| format!("{}\n", clipped(line))).collect();
    // RFC 3834: nobody's vacation answers this.
    Ok(format!(
        "{from}To: {to}\nSubject: {}\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\n\
         Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{body}",
        notice.headline()
    ))
}

/// An address goes into a header and into an argument: nothing but an address may.
fn checked(address: &str) -> Result<(), Failure> {
    match Address::parse(address) {
        Ok(_) if !address.starts_with('-') => Ok(()),
        _ => Err(Failure::Usage(format!("[notify] {address:?} is no address that a letter can go to"))),
    }
}

fn clipped(line: &str) -> String {
    let mut end = line.len().min(LONGEST_LINE);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line[..end].to_owned()
}

/// Hands the letter over; the program is ended when it is too slow.
pub(super) async fn send(notify: &Notify, notice: &Notice) -> Result<(), String> {
    let program = notify.sendmail.display();
    let letter = letter(notify, notice).map_err(|failure| failure.render(false))?;
    let mut command = Command::new(&notify.sendmail);
    // -i: a line that is a dot is not the end (RFC 5321 §4.5.2 is not for pipes).
    command.arg("-i");
    if !notify.mail_from.is_empty() {
        command.arg("-f").arg(&notify.mail_from);
    }
    command.arg("--").args(&notify.mail_to);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| format!("{program} cannot be started: {error}"))?;
    let mut input = child.stdin.take().ok_or_else(|| format!("{program} takes no letter"))?;
    let finish = async {
        // Who closes early says why by how it ends.
        let _ = input.write_all(letter.as_bytes()).await;
        drop(input);
        child.wait().await
    };
    match timeout(notify.timeout, finish).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("{program} did not take the letter ({status})")),
        Ok(Err(error)) => Err(format!("{program}: {error}")),
        Err(_) => Err(format!("{program} did not end within {:?}", notify.timeout)),
    }
}
