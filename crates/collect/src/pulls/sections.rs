//! Files of sections: getmail(1) and offlineimap(1) in the style of INI, mbsync(1) in blocks of keywords.

use super::Job;

/// `key = value` or `key: value`, the key in lower case.
fn pair(line: &str) -> Option<(String, &str)> {
    let at = line.find(['=', ':'])?;
    Some((line[..at].trim().to_ascii_lowercase(), line[at + 1..].trim()))
}

fn is_comment(line: &str) -> bool {
    line.is_empty() || line.starts_with(['#', ';'])
}

/// One `[retriever]` a file.
pub(super) fn getmail(text: &str) -> Vec<Job> {
    let mut job = Job { program: "getmail".to_owned(), ..Job::default() };
    let mut section = String::new();
    for (number, line) in (1_u32..).zip(text.lines().map(str::trim)) {
        if is_comment(line) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').trim().to_ascii_lowercase();
            if section == "retriever" {
                job.line = number;
            }
            continue;
        }
        let Some((key, value)) = pair(line) else { continue };
        match (section.as_str(), key.as_str()) {
            ("retriever", "server") => value.clone_into(&mut job.server),
            ("retriever", "username") => value.clone_into(&mut job.mailbox),
            ("destination", "path" | "mailbox" | "recipient") => value.clone_into(&mut job.destination),
            _ => {}
        }
    }
    if job.line == 0 { Vec::new() } else { vec![job] }
}

/// Every repository on a server.
pub(super) fn offlineimap(text: &str) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for (number, line) in (1_u32..).zip(text.lines().map(str::trim)) {
        if is_comment(line) {
            continue;
        }
        if line.starts_with('[') {
            jobs.push(Job { program: "offlineimap".to_owned(), line: number, ..Job::default() });
            continue;
        }
        let (Some((key, value)), Some(job)) = (pair(line), jobs.last_mut()) else { continue };
        match key.as_str() {
            "remotehost" => value.clone_into(&mut job.server),
            "remoteuser" => value.clone_into(&mut job.mailbox),
            _ => {}
        }
    }
    jobs.retain(|job| !job.server.is_empty() || !job.mailbox.is_empty());
    jobs
}

/// Every `IMAPAccount`, and an `IMAPStore` that says itself where it is.
pub(super) fn mbsync(text: &str) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    for (number, line) in (1_u32..).zip(text.lines().map(str::trim)) {
        if is_comment(line) {
            continue;
        }
        let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let value = value.trim().trim_matches('"');
        match key.to_ascii_lowercase().as_str() {
            "imapaccount" | "imapstore" => {
                jobs.push(Job { program: "mbsync".to_owned(), line: number, ..Job::default() });
            }
            "host" => jobs.iter_mut().last().into_iter().for_each(|job| value.clone_into(&mut job.server)),
            "user" => jobs.iter_mut().last().into_iter().for_each(|job| value.clone_into(&mut job.mailbox)),
            _ => {}
        }
    }
    jobs.retain(|job| !job.server.is_empty() || !job.mailbox.is_empty());
    jobs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(jobs: &[Job]) -> Vec<String> {
        let one = |job: &Job| format!("{} {} {} {}", job.line, job.server, job.mailbox, job.destination);
        jobs.iter().map(one).collect()
    }

    #[test]
    fn sections_are_read_as_their_programs_read_them() {
        let getmail_text = "[options]\nverbose = 1\n[retriever]\ntype = SimpleIMAPRetriever\nserver = mail.example.test\n\
                            username = jane\npassword = tiger\n[destination]\ntype = Maildir\npath = /home/eve/Mail/\n";
        assert_eq!(said(&getmail(getmail_text)), ["3 mail.example.test jane /home/eve/Mail/"]);
        let offline = "[general]\naccounts = a\n[Repository r]\ntype = IMAP\nremotehost: mail.example.test\nremoteuser = jane\n";
        assert_eq!(said(&offlineimap(offline)), ["3 mail.example.test jane "]);
        let blocks = "IMAPAccount work\nHost mail.example.test\nUser \"jane\"\nPass tiger\nIMAPStore far\nAccount work\n";
        assert_eq!(said(&mbsync(blocks)), ["1 mail.example.test jane "]);
        assert!(getmail("[options]\n").is_empty());
    }
}
