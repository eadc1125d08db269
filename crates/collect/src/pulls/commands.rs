//! Command lines in crontabs and units that run a program which copies mail.

use super::Job;

/// Programs that do nothing else, by the name of their file.
const PROGRAMS: [&str; 12] = [
    "fetchmail",
    "getmail",
    "getmail6",
    "mpop",
    "imapsync",
    "offlineimap",
    "mbsync",
    "isync",
    "imapcopy",
    "imapgrab",
    "gyb",
    "larch",
];

/// The jobs of a crontab, script or unit: one for each line that runs such a program.
pub(super) fn jobs(text: &str) -> Vec<Job> {
    let lines = (1_u32..).zip(text.lines());
    let runs = lines.filter(|(_, line)| !line.trim_start().starts_with(['#', ';']));
    runs.filter_map(|(number, line)| job(number, line)).collect()
}

fn job(number: u32, line: &str) -> Option<Job> {
    // ExecStart=/usr/bin/mbsync is one word.
    let words: Vec<&str> = line.split(|c: char| c.is_whitespace() || "=;&|\"'".contains(c)).collect();
    let at = words
        .iter()
        .position(|word| PROGRAMS.contains(&base(word)))
        .or_else(|| words.windows(2).position(|pair| is_dsync(base(pair[0]), pair[1])))?;
    let program = base(words[at]);
    let program =
        if program == "doveadm" { format!("doveadm {}", words[at + 1]) } else { program.to_owned() };
    let arguments = &words[at + 1..];
    let option = |names: &[&str]| {
        let found = arguments.windows(2).find(|pair| names.contains(&pair[0]));
        found.map(|pair| pair[1].to_owned()).unwrap_or_default()
    };
    let is_remote = |word: &&&str| word.contains(':') && word.contains('@');
    let remote = arguments.iter().find(is_remote).map(|word| (*word).to_owned()).unwrap_or_default();
    let destination = [option(&["--host2", "--user2"]), remote].into_iter().find(|text| !text.is_empty());
    Some(Job {
        program,
        line: number,
        mailbox: option(&["--user1", "-u", "--user", "--email"]),
        server: option(&["--host1", "--host"]),
        destination: destination.unwrap_or_default(),
    })
}

fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or_default()
}

/// `doveadm backup` and `doveadm sync` copy whole mailboxes; `dsync` is their old name.
fn is_dsync(program: &str, verb: &str) -> bool {
    program == "doveadm" && ["backup", "sync"].contains(&verb) || program == "dsync"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_copy_mail_are_told_from_all_others() {
        let text = "# imapsync --user1 x\n*/5 * * * * vmail /usr/bin/imapsync --host1 a.test --user1 jane@a.test --password1 tiger --host2 b.test\n\
                    0 1 * * * root doveadm backup -u jane@a.test ssh:copy@b.test doveadm\n\
                    ExecStart=/usr/bin/offlineimap -o\n0 0 * * * root apt-get install imapsync-doc\n30 2 * * * root doveadm expunge -A\n";
        let jobs = jobs(text);
        let said: Vec<_> = jobs
            .iter()
            .map(|job| {
                format!("{} {} {} {} {}", job.line, job.program, job.server, job.mailbox, job.destination)
            })
            .collect();
        assert_eq!(
            said,
            [
                "2 imapsync a.test jane@a.test b.test",
                "3 doveadm backup  jane@a.test ssh:copy@b.test",
                "4 offlineimap   ",
            ]
        );
        assert!(!format!("{jobs:?}").contains("tiger"));
    }
}
