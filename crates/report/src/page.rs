//! A terminal page: paragraphs, headings and labelled values, wrapped and perhaps coloured.

use std::borrow::Cow;
use std::io;

use anstyle::Style;

use crate::sanitise::{clipped, visible};
use crate::wrap::{columns, wrap};

/// How text is laid out. Whoever owns the terminal decides both: this crate looks at no environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextStyle {
    /// Columns to use; fewer than 20 count as 20.
    pub width: usize,
    /// Whether to colour. Nothing is said by colour alone.
    pub colour: bool,
}

impl Default for TextStyle {
    fn default() -> Self {
        Self { width: 80, colour: false }
    }
}

const MIN_WIDTH: usize = 20;
/// Prose in longer lines is hard to follow back.
const MAX_WIDTH: usize = 110;
/// From here on labels stand in a column of their own.
const ROOMY: usize = 48;
const INDENT: usize = 4;
const LABEL: usize = 8;
/// Lines of one value that are shown.
const MAX_LINES: usize = 40;

/// Everything that reaches `out` passes [`Page::line`], and text in it has passed [`visible`].
pub(crate) struct Page<'a> {
    out: &'a mut dyn io::Write,
    width: usize,
    colour: bool,
}

impl<'a> Page<'a> {
    pub(crate) fn new(out: &'a mut dyn io::Write, style: &TextStyle) -> Self {
        Self { out, width: style.width.clamp(MIN_WIDTH, MAX_WIDTH), colour: style.colour }
    }

    pub(crate) fn blank(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    /// Prose from the left edge.
    pub(crate) fn paragraph(&mut self, style: Style, text: &str) -> io::Result<()> {
        self.hanging("", 0, style, text)
    }

    /// A section's name with a rule under it.
    pub(crate) fn heading(&mut self, text: &str) -> io::Result<()> {
        self.blank()?;
        self.paragraph(Style::new().bold(), text)?;
        let rule = "-".repeat(columns(text).min(self.width));
        writeln!(self.out, "{rule}")
    }

    /// An entry's first line: `word  title`, the word in its style.
    pub(crate) fn title(&mut self, word: &str, style: Style, title: &str) -> io::Result<()> {
        self.blank()?;
        let word = visible(word);
        let prefix = format!("{}{word}{}  ", self.on(style), self.off(style));
        let taken = columns(&word) + 2;
        self.put(&prefix, taken, INDENT, Style::new().bold(), title)
    }

    /// A labelled value; nothing where there is no value.
    pub(crate) fn field(&mut self, label: &str, value: &str) -> io::Result<()> {
        if value.is_empty() {
            return Ok(());
        }
        self.hanging(&self.label(label), self.hang(), Style::new(), value)
    }

    /// A labelled value that has lines of its own.
    pub(crate) fn lines(&mut self, label: &str, value: &str) -> io::Result<()> {
        self.each_line(label, value, Self::field)
    }

    /// What to type. A line of a command is never broken, so that it can be copied whole; the terminal
    /// folds it. A line that ends like a sentence is prose and is wrapped as such.
    pub(crate) fn command(&mut self, label: &str, command: &str) -> io::Result<()> {
        self.each_line(label, command, Self::command_line)
    }

    fn each_line(
        &mut self,
        label: &str,
        value: &str,
        write: impl Fn(&mut Self, &str, &str) -> io::Result<()>,
    ) -> io::Result<()> {
        let lines: Vec<&str> = value.lines().filter(|line| !line.trim().is_empty()).collect();
        for (number, line) in lines.iter().take(MAX_LINES).enumerate() {
            write(self, if number == 0 { label } else { "" }, line)?;
        }
        match lines.len().checked_sub(MAX_LINES) {
            None | Some(0) => Ok(()),
            Some(more) => self.field("", &format!("({more} more lines in the JSON report)")),
        }
    }

    fn command_line(&mut self, label: &str, line: &str) -> io::Result<()> {
        let line = clipped(line);
        if line.ends_with('.') {
            return self.field(label, &line);
        }
        let shown = visible(&line);
        writeln!(self.out, "{}{shown}", self.label(label))?;
        match shown {
            Cow::Borrowed(_) => Ok(()),
            Cow::Owned(_) => self.field("", "(holds hidden characters, written out here: do not paste it.)"),
        }
    }

    fn label(&self, label: &str) -> String {
        if self.width >= ROOMY {
            format!("{:INDENT$}{label:LABEL$}", "")
        } else if label.is_empty() {
            " ".repeat(INDENT)
        } else {
            format!("  {label}: ")
        }
    }

    fn hang(&self) -> usize {
        if self.width >= ROOMY { INDENT + LABEL } else { INDENT }
    }

    fn hanging(&mut self, prefix: &str, hang: usize, style: Style, text: &str) -> io::Result<()> {
        self.put(prefix, columns(prefix), hang, style, text)
    }

    /// The prefix, which takes `taken` columns, then the text, its further lines indented by `hang`.
    fn put(&mut self, prefix: &str, taken: usize, hang: usize, style: Style, text: &str) -> io::Result<()> {
        let lines = wrap(&visible(text), self.width.saturating_sub(taken), self.width - hang);
        let mut prefix = Cow::Borrowed(prefix);
        for line in lines {
            self.line(&prefix, style, &line)?;
            prefix = Cow::Owned(" ".repeat(hang));
        }
        Ok(())
    }

    fn line(&mut self, prefix: &str, style: Style, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return writeln!(self.out, "{}", prefix.trim_end());
        }
        writeln!(self.out, "{prefix}{}{text}{}", self.on(style), self.off(style))
    }

    fn on(&self, style: Style) -> String {
        if self.colour { style.render().to_string() } else { String::new() }
    }

    fn off(&self, style: Style) -> String {
        if self.colour { style.render_reset().to_string() } else { String::new() }
    }
}
