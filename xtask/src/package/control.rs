//! The control files of a package, as text.

use std::fmt::Write as _;

use super::contents::Package;

const MAINTAINER: &str = "The Mailwarden authors <packages@mailwarden.invalid>";
/// Widest line of a description.
const WIDTH: usize = 76;

/// What differs from build to build.
pub(super) struct Built<'a> {
    pub(super) version: &'a str,
    pub(super) architecture: &'a str,
    pub(super) installed_kib: u64,
    /// The C library that the programs ask for; none where they are static.
    pub(super) glibc: Option<(u32, u32)>,
}

/// The file `control`.
pub(super) fn control(package: &Package, built: &Built<'_>) -> String {
    let mut text = String::new();
    let mut field = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "{name}: {value}");
        }
    };
    field("Package", package.name);
    field("Source", if package.name == "mailwarden" { "" } else { "mailwarden" });
    field("Version", built.version);
    field("Architecture", built.architecture);
    field("Maintainer", MAINTAINER);
    field("Installed-Size", &built.installed_kib.to_string());
    field("Depends", &depends(package, built));
    field("Recommends", package.recommends);
    field("Suggests", package.suggests);
    field("Section", "mail");
    field("Priority", "optional");
    field("Description", package.synopsis);
    text + &description(package)
}

fn depends(package: &Package, built: &Built<'_>) -> String {
    let library = built.glibc.map(|(major, minor)| format!("libc6 (>= {major}.{minor}), libgcc-s1 (>= 4.2)"));
    let named = package.depends.iter().map(|one| one.replace("${version}", built.version));
    library.into_iter().chain(named).collect::<Vec<_>>().join(", ")
}

/// Paragraphs, each line behind a blank, a dot between them.
fn description(package: &Package) -> String {
    let paragraphs: Vec<_> = package.description.iter().map(|paragraph| wrapped(paragraph)).collect();
    paragraphs.join(" .\n")
}

fn wrapped(paragraph: &str) -> String {
    let (mut text, mut width) = (String::new(), WIDTH);
    for word in paragraph.split_ascii_whitespace() {
        if width + 1 + word.len() > WIDTH {
            text.push_str(if text.is_empty() { "" } else { "\n" });
            width = 0;
        }
        text.push(' ');
        text.push_str(word);
        width += 1 + word.len();
    }
    text + "\n"
}

/// The file `conffiles`; none where it would be empty.
pub(super) fn conffiles(package: &Package) -> Option<String> {
    (!package.conffiles.is_empty()).then(|| package.conffiles.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::super::contents::{COMMAND, GATE};
    use super::*;

    const BUILT: Built<'_> =
        Built { version: "0.1.0-1", architecture: "amd64", installed_kib: 7, glibc: Some((2, 34)) };

    #[test]
    fn the_gate_wants_the_command_of_its_own_version() {
        let text = control(&GATE, &BUILT);
        assert!(
            text.contains("\nDepends: libc6 (>= 2.34), libgcc-s1 (>= 4.2), mailwarden (= 0.1.0-1)\n"),
            "{text}"
        );
        assert!(text.contains("\nSource: mailwarden\n") && text.starts_with("Package: mailwarden-milter\n"));
        let without = control(&COMMAND, &Built { glibc: None, ..BUILT });
        assert!(without.contains("\nDepends: systemd | "), "{without}");
    }

    #[test]
    fn a_description_has_a_short_first_line_and_paragraphs_behind_blanks() {
        for package in [&COMMAND, &GATE] {
            assert!(package.synopsis.len() < 80);
            let text = control(package, &BUILT);
            let (_, rest) = text.split_once("\nDescription: ").unwrap();
            for line in rest.lines().skip(1) {
                assert!(line.starts_with(' ') && line.len() <= WIDTH && !line.starts_with("  "), "{line:?}");
            }
            assert_eq!(rest.matches("\n .\n").count(), package.description.len() - 1);
        }
    }

    #[test]
    fn only_what_an_admin_may_edit_is_a_conffile() {
        assert_eq!(conffiles(&COMMAND).as_deref(), Some("/etc/mailwarden/mailwarden.toml\n"));
        assert_eq!(conffiles(&GATE), None);
    }
}
