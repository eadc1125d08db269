//! What the programs write about themselves: manual pages and shell completions.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use super::stage::compressed;
use crate::cargo::workspace;

/// The shells and the file that each of them looks for.
const SHELLS: [(&str, &str); 3] =
    [("bash", "mailwarden.bash"), ("zsh", "_mailwarden"), ("fish", "mailwarden.fish")];

/// Completions and the page of the configuration into a folder of generated files, the pages of the commands
/// into a folder of their own.
pub(super) fn generate(mailwarden: &Path, folder: &Path, commands: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    for (shell, file) in SHELLS {
        fs::write(folder.join(file), said_by(mailwarden, &["completions", shell])?)?;
    }
    let configuration = fs::read_to_string(workspace().join("config/mailwarden.toml"))?;
    fs::write(folder.join("mailwarden.toml.5.gz"), compressed(page_of(&configuration).as_bytes())?)?;
    let plain = folder.join("man1");
    said_by(mailwarden, &["man", "--output", &plain.display().to_string()])?;
    fs::create_dir_all(commands)?;
    for page in fs::read_dir(&plain)? {
        let page = page?;
        let name = format!("{}.gz", page.file_name().to_string_lossy());
        fs::write(commands.join(name), compressed(&fs::read(page.path())?)?)?;
    }
    Ok(())
}

fn said_by(program: &Path, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("starting {}", program.display()))?;
    if !output.status.success() {
        bail!("{} {}: {}", program.display(), arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

/// The configuration file is its own documentation: every key stands in it with a word and its default.
fn page_of(configuration: &str) -> String {
    let body: String = configuration.lines().map(|line| format!("{}\n", protected(line))).collect();
    format!(
        ".TH MAILWARDEN.TOML 5\n.SH NAME\nmailwarden.toml \\- configuration of mailwarden and mailwarden\\-milter\n\
         .SH DESCRIPTION\nThe file is /etc/mailwarden/mailwarden.toml. This is all of it, with the defaults:\n\
         .PP\n.nf\n{body}.fi\n.SH SEE ALSO\nmailwarden(1), mailwarden\\-milter(8)\n"
    )
}

/// A line that roff shows as it is.
fn protected(line: &str) -> String {
    let escaped = line.replace('\\', "\\e").replace('-', "\\-");
    if escaped.starts_with(['.', '\'']) { format!("\\&{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_the_configuration_has_every_key() {
        let page = page_of("# 'x'\n.dot = \"a\\b\"\nsocket_mode = \"0660\"\n'quote\n");
        assert!(page.contains("\\&.dot = \"a\\eb\"\n") && page.contains("\\&'quote\n"), "{page}");
        assert!(page.contains("socket_mode"), "{page}");
    }

    /// The options that a text names.
    fn options(text: &str) -> std::collections::BTreeSet<String> {
        let starts = text.match_indices("--").map(|(at, _)| &text[at + 2..]);
        let name =
            |rest: &str| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect::<String>();
        starts.map(name).filter(|name| !name.is_empty()).collect()
    }

    #[test]
    fn the_pages_written_by_hand_know_every_option_of_their_program() {
        let read = |path: &str| fs::read_to_string(workspace().join(path)).unwrap();
        let verify = options(&read("crates/proof/src/main.rs"));
        let page = read("deploy/man/mailwarden-verify.1").replace("Fl \\-", "--").replace("\\-", "-");
        for option in verify.into_iter().filter(|option| option != "help" && option != "version") {
            assert!(options(&page).contains(&option), "mailwarden-verify.1 lacks --{option}");
        }
        let daemon = read("crates/milter-daemon/src/main.rs");
        let page =
            options(&read("deploy/man/mailwarden-milter.8").replace("Fl \\-", "--").replace("\\-", "-"));
        let (_, arguments) = daemon.split_once("struct Arguments {").unwrap();
        let (arguments, _) = arguments.split_once("\n}").unwrap();
        let fields = arguments.lines().filter_map(|line| Some(line.trim().split_once(": ")?.0));
        let fields: Vec<_> =
            fields.filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')).collect();
        assert!(fields.len() >= 6, "{fields:?}");
        for field in fields {
            assert!(page.contains(&field.replace('_', "-")), "mailwarden-milter.8 lacks --{field}");
        }
    }
}
