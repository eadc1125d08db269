//! What is in which package, and where. The only place that says so.

/// Where a file of a package comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A program that was built.
    Program(&'static str),
    /// A file of the project, as it is.
    File(&'static str),
    /// A file of the project, compressed as Debian wants it.
    Compressed(&'static str),
    /// A file that the program itself writes, by its name in the folder of generated files.
    Generated(&'static str),
    /// An empty directory.
    Directory,
}

/// One file of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shipped {
    pub(crate) source: Source,
    /// Its place, without the leading slash.
    pub(crate) path: &'static str,
}

const fn shipped(source: Source, path: &'static str) -> Shipped {
    Shipped { source, path }
}

/// A binary package.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    /// The first line of its description.
    pub(crate) synopsis: &'static str,
    /// The rest of it, paragraphs of one line each.
    pub(crate) description: &'static [&'static str],
    /// What it needs besides the C library.
    pub(crate) depends: &'static [&'static str],
    pub(crate) recommends: &'static str,
    pub(crate) suggests: &'static str,
    pub(crate) contents: &'static [Shipped],
    /// Files below /etc that dpkg asks about before it replaces them.
    pub(crate) conffiles: &'static [&'static str],
}

/// The manual pages of every command, which the command writes.
pub(crate) const MANUAL_PAGES: &str = "usr/share/man/man1";
/// What is linked into the programs, in the folder of generated files.
pub(crate) const BILL: &str = "mailwarden.cdx.json";
/// One client's worth of policy, to begin with.
const EXAMPLE: &str = "config/policy/example.toml";

/// The command, its timers, its configuration.
pub(crate) const COMMAND: Package = Package {
    name: "mailwarden",
    synopsis: "sweep mailboxes for what outlives a password",
    description: &[
        "For every mailbox of a Postfix and Dovecot system: who can this mail reach, who owns it, who can reset it, \
         and who let it be so?",
        "The command makes the rounds over IMAP, ManageSieve, Dovecot and Postfix, reports what it finds and what it \
         could not see, removes it so that it can be undone, and keeps an audit ledger.",
    ],
    depends: &[
        "systemd | systemd-standalone-sysusers | systemd-sysusers",
        "systemd | systemd-standalone-tmpfiles | systemd-tmpfiles",
    ],
    recommends: "ca-certificates",
    suggests: "mailwarden-milter, postgresql",
    contents: &[
        shipped(Source::Program("mailwarden"), "usr/bin/mailwarden"),
        shipped(Source::Program("mailwarden-verify"), "usr/bin/mailwarden-verify"),
        shipped(Source::File("config/mailwarden.toml"), "etc/mailwarden/mailwarden.toml"),
        shipped(Source::Directory, "etc/mailwarden/policy"),
        shipped(Source::File("deploy/debian/sysusers.conf"), "usr/lib/sysusers.d/mailwarden.conf"),
        shipped(Source::File("deploy/debian/tmpfiles.conf"), "usr/lib/tmpfiles.d/mailwarden.conf"),
        shipped(
            Source::File("deploy/mailwarden-anchor.service"),
            "usr/lib/systemd/system/mailwarden-anchor.service",
        ),
        shipped(
            Source::File("deploy/mailwarden-anchor.timer"),
            "usr/lib/systemd/system/mailwarden-anchor.timer",
        ),
        shipped(
            Source::File("deploy/mailwarden-review.service"),
            "usr/lib/systemd/system/mailwarden-review.service",
        ),
        shipped(
            Source::File("deploy/mailwarden-review.timer"),
            "usr/lib/systemd/system/mailwarden-review.timer",
        ),
        shipped(
            Source::File("deploy/mailwarden-sweep.service"),
            "usr/lib/systemd/system/mailwarden-sweep.service",
        ),
        shipped(
            Source::File("deploy/mailwarden-sweep.timer"),
            "usr/lib/systemd/system/mailwarden-sweep.timer",
        ),
        shipped(
            Source::Compressed("deploy/man/mailwarden-verify.1"),
            "usr/share/man/man1/mailwarden-verify.1.gz",
        ),
        shipped(Source::Generated("mailwarden.toml.5.gz"), "usr/share/man/man5/mailwarden.toml.5.gz"),
        shipped(Source::Generated("mailwarden.bash"), "usr/share/bash-completion/completions/mailwarden"),
        shipped(Source::Generated("_mailwarden"), "usr/share/zsh/vendor-completions/_mailwarden"),
        shipped(Source::Generated("mailwarden.fish"), "usr/share/fish/vendor_completions.d/mailwarden.fish"),
        shipped(Source::File("deploy/debian/README.Debian"), "usr/share/doc/mailwarden/README.Debian"),
        shipped(Source::File("deploy/debian/copyright"), "usr/share/doc/mailwarden/copyright"),
        shipped(
            Source::Compressed("deploy/debian/changelog"),
            "usr/share/doc/mailwarden/changelog.Debian.gz",
        ),
        shipped(Source::File(EXAMPLE), "usr/share/doc/mailwarden/examples/policy.toml"),
        shipped(
            Source::File("deploy/mailwarden-sweep-letters.conf"),
            "usr/share/doc/mailwarden/examples/mailwarden-sweep-letters.conf",
        ),
        shipped(Source::File("config/policy/schema.json"), "usr/share/mailwarden/policy.schema.json"),
        shipped(Source::Generated(BILL), "usr/share/mailwarden/mailwarden.cdx.json"),
        shipped(
            Source::File("deploy/sigma/dovecot-acl-grant.yml"),
            "usr/share/mailwarden/sigma/dovecot-acl-grant.yml",
        ),
        shipped(
            Source::File("deploy/sigma/dovecot-annotation.yml"),
            "usr/share/mailwarden/sigma/dovecot-annotation.yml",
        ),
        shipped(
            Source::File("deploy/sigma/dovecot-redirect.yml"),
            "usr/share/mailwarden/sigma/dovecot-redirect.yml",
        ),
        shipped(
            Source::File("deploy/sigma/dovecot-sieve-script.yml"),
            "usr/share/mailwarden/sigma/dovecot-sieve-script.yml",
        ),
        shipped(
            Source::File("deploy/sigma/dovecot-urlauth.yml"),
            "usr/share/mailwarden/sigma/dovecot-urlauth.yml",
        ),
        shipped(
            Source::File("deploy/sigma/postfix-alias-command.yml"),
            "usr/share/mailwarden/sigma/postfix-alias-command.yml",
        ),
        shipped(
            Source::File("deploy/sigma/postfix-alias-file.yml"),
            "usr/share/mailwarden/sigma/postfix-alias-file.yml",
        ),
    ],
    conffiles: &["/etc/mailwarden/mailwarden.toml"],
};

/// The gate.
pub(crate) const GATE: Package = Package {
    name: "mailwarden-milter",
    synopsis: "milter that enforces an address architecture inline",
    description: &[
        "A milter for Postfix and Sendmail: receive-only addresses never send, senders are who they say they are, \
         vendors' addresses stay with their vendors, and what a leaver's mailbox is sent goes to the successor.",
        "Neither installation nor upgrade changes or reloads Postfix; README.Debian of mailwarden says how to begin.",
    ],
    depends: &["mailwarden (= ${version})"],
    recommends: "postfix | sendmail-bin",
    suggests: "prometheus, grafana",
    contents: &[
        shipped(Source::Program("mailwarden-milter"), "usr/sbin/mailwarden-milter"),
        shipped(
            Source::File("deploy/mailwarden-milter.service"),
            "usr/lib/systemd/system/mailwarden-milter.service",
        ),
        shipped(
            Source::File("deploy/mailwarden-milter.socket"),
            "usr/lib/systemd/system/mailwarden-milter.socket",
        ),
        shipped(
            Source::Compressed("deploy/man/mailwarden-milter.8"),
            "usr/share/man/man8/mailwarden-milter.8.gz",
        ),
        shipped(Source::File("deploy/debian/copyright"), "usr/share/doc/mailwarden-milter/copyright"),
        shipped(
            Source::Compressed("deploy/debian/changelog"),
            "usr/share/doc/mailwarden-milter/changelog.Debian.gz",
        ),
        shipped(
            Source::File("deploy/prometheus/mailwarden.rules.yml"),
            "usr/share/doc/mailwarden-milter/examples/mailwarden.rules.yml",
        ),
        shipped(
            Source::File("deploy/grafana/mailwarden-gate.json"),
            "usr/share/doc/mailwarden-milter/examples/mailwarden-gate.json",
        ),
    ],
    conffiles: &[],
};

/// Both of them.
pub(crate) const PACKAGES: [&Package; 2] = [&COMMAND, &GATE];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cargo::workspace;

    /// The files of the project that a package holds.
    fn files(package: &Package) -> impl Iterator<Item = &'static str> {
        package.contents.iter().filter_map(|file| match file.source {
            Source::File(path) | Source::Compressed(path) => Some(path),
            _ => None,
        })
    }

    #[test]
    fn every_file_exists_and_no_place_is_taken_twice() {
        let mut places = BTreeSet::new();
        for package in PACKAGES {
            for path in files(package) {
                assert!(workspace().join(path).is_file(), "{path}");
            }
            for shipped in package.contents {
                assert!(places.insert(shipped.path), "{} is in two packages", shipped.path);
            }
        }
    }

    #[test]
    fn every_sigma_rule_is_shipped() {
        let shipped: BTreeSet<_> = files(&COMMAND).collect();
        let rules = std::fs::read_dir(workspace().join("deploy/sigma")).unwrap();
        let names = rules.map(|rule| rule.unwrap().file_name().into_string().unwrap());
        let missing: Vec<_> =
            names.filter(|name| !shipped.contains(format!("deploy/sigma/{name}").as_str())).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn what_lies_below_etc_is_a_conffile_and_nothing_else_is() {
        for package in PACKAGES {
            let below_etc =
                |file: &&Shipped| file.path.starts_with("etc/") && file.source != Source::Directory;
            let below: Vec<_> =
                package.contents.iter().filter(below_etc).map(|file| format!("/{}", file.path)).collect();
            assert_eq!(below, package.conffiles);
        }
    }

    #[test]
    fn every_unit_is_shipped_and_starts_programs_where_they_are() {
        let programs: Vec<String> = PACKAGES
            .iter()
            .flat_map(|package| package.contents)
            .filter(|file| matches!(file.source, Source::Program(_)))
            .map(|file| format!("/{}", file.path))
            .collect();
        let shipped: BTreeSet<_> = PACKAGES.iter().flat_map(|package| files(package)).collect();
        for entry in std::fs::read_dir(workspace().join("deploy")).unwrap() {
            let path = entry.unwrap().path();
            let Some("service" | "socket" | "timer") = path.extension().and_then(|kind| kind.to_str()) else {
                continue;
            };
            let own = path.strip_prefix(workspace()).unwrap().to_str().unwrap();
            assert!(shipped.contains(own), "{own} is in no package");
            let text = std::fs::read_to_string(&path).unwrap();
            for program in text.lines().filter_map(|line| line.strip_prefix("ExecStart=")) {
                let program = program.split(' ').next().unwrap();
                assert!(programs.iter().any(|there| there == program), "{own} starts {program}");
            }
        }
    }
}
