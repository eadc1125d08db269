//! fetchmail(1): `poll SERVER ... user NAME ... is LOCAL ...`, in any order of lines.

use super::Job;

/// A word with its line.
struct Word {
    line: u32,
    text: String,
}

/// The jobs of a file; one for each user of each server that is polled. `skip` is a job that only a command line asks
/// for, and it is one all the same.
pub(super) fn jobs(text: &str) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    let mut server = String::new();
    let mut words = words(text).into_iter().peekable();
    while let Some(word) = words.next() {
        match word.text.to_ascii_lowercase().as_str() {
            "poll" | "server" | "skip" => {
                server = words.next().map(|next| next.text).unwrap_or_default();
            }
            "user" | "username" => {
                let mailbox = words.next().map(|next| next.text).unwrap_or_default();
                let (program, server) = ("fetchmail".to_owned(), server.clone());
                jobs.push(Job { program, line: word.line, mailbox, server, destination: String::new() });
            }
            "is" | "to" | "smtpname" | "mda" | "bsmtp" => {
                let destination = words.next().map(|next| next.text).unwrap_or_default();
                if let Some(job) = jobs.last_mut().filter(|job| job.destination.is_empty()) {
                    job.destination = destination;
                }
            }
            // The word behind it is a secret, whatever it looks like.
            "password" | "pass" => drop(words.next()),
            _ => {}
        }
    }
    jobs
}

/// Words as fetchmail separates them: blanks, `=`, `,`, `;` and `:` are noise, quotes keep a word together, `#` begins a
/// comment.
fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    for (line, content) in (1_u32..).zip(text.lines()) {
        let mut rest = content.trim_start();
        while let Some(first) = rest.chars().next().filter(|first| *first != '#') {
            let (word, behind) = if first == '"' || first == '\'' {
                let inner = &rest[1..];
                inner.split_once(first).unwrap_or((inner, ""))
            } else {
                let is_end = |c: char| c.is_whitespace() || "=,;".contains(c);
                let end = rest.find(is_end).unwrap_or(rest.len());
                (&rest[..end], &rest[end..])
            };
            if !word.is_empty() {
                words.push(Word { line, text: word.to_owned() });
            }
            rest = behind.trim_start_matches(|c: char| c.is_whitespace() || "=,;".contains(c));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_of_each_server_is_a_job_and_no_password_is_taken() {
        let text = "# comment\nset daemon 300\npoll mail.example.test protocol IMAP\n  user \"jane@example.test\" there\n\
                    \x20 with password \"user poll secret\" is eve@evil.example here\n  user bob pass=tiger to bob\nskip other user x\n";
        let jobs = jobs(text);
        let said: Vec<_> = jobs
            .iter()
            .map(|job| format!("{} {} {} {}", job.line, job.server, job.mailbox, job.destination))
            .collect();
        assert_eq!(
            said,
            [
                "4 mail.example.test jane@example.test eve@evil.example",
                "6 mail.example.test bob bob",
                "7 other x ",
            ]
        );
        assert!(!format!("{jobs:?}").contains("secret") && !format!("{jobs:?}").contains("tiger"));
    }
}
