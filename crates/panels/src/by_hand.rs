//! What an administrator types into the database's own shell where nothing is changed from here.

use crate::Engine;
use crate::row::Columns;

/// Longest value that is written into a statement, in characters.
const MAX_VALUE: usize = 1_000;

/// A statement of a set for one row and one of its targets. None where a value cannot be typed.
pub(crate) fn statement(
    template: &str,
    (engine, prefix): (Engine, &str),
    row: &Columns,
    target: &str,
) -> Option<String> {
    let mut statement = String::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, behind) = behind.split_once('}')?;
        statement.push_str(before);
        match name {
            "prefix" => statement.push_str(prefix),
            "owner" => statement.push_str(&literal(&row.owner, engine)?),
            "target" => statement.push_str(&literal(target, engine)?),
            "row_key" => statement.push_str(&literal(&row.row_key, engine)?),
            _ => return None,
        }
        rest = behind;
    }
    statement.push_str(rest);
    statement.push(';');
    Some(statement)
}

/// A text as the database reads it, of characters that show what they are: one that is invisible, or turns the direction
/// of the line, would be copied without being seen. MariaDB and MySQL take a backslash for more than itself unless they
/// are told otherwise, PostgreSQL where it is told so: such a value is left to whoever knows how theirs is set.
fn literal(value: &str, engine: Engine) -> Option<String> {
    let is_plain = |letter: char| letter.is_alphanumeric() || letter.is_ascii_graphic() || letter == ' ';
    let is_sure = engine == Engine::Sqlite || !value.contains('\\');
    let is_short = !value.is_empty() && value.chars().nth(MAX_VALUE).is_none();
    (is_short && is_sure && value.chars().all(is_plain)).then(|| format!("'{}'", value.replace('\'', "''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(owner: &str) -> Columns {
        Columns { owner: owner.to_owned(), row_key: "7".to_owned(), ..Columns::default() }
    }

    #[test]
    fn a_value_stays_a_value() {
        let delete = |owner: &str, engine| {
            statement(
                "DELETE FROM {prefix}t WHERE a = {owner} AND id = {row_key}",
                (engine, "x_"),
                &row(owner),
                "",
            )
        };
        assert_eq!(
            delete("o'{row_key}", Engine::PostgreSql).unwrap(),
            "DELETE FROM x_t WHERE a = 'o''{row_key}' AND id = '7';"
        );
        assert_eq!(delete("a\\", Engine::Sqlite).unwrap(), "DELETE FROM x_t WHERE a = 'a\\' AND id = '7';");
        for (odd, engine) in [
            ("a\\' OR 1=1 -- ", Engine::MySql),
            ("a\nb", Engine::MySql),
            ("", Engine::Sqlite),
            ("a\\", Engine::PostgreSql),
            ("\u{1b}[2J", Engine::Sqlite),
            ("a\u{202e}b", Engine::Sqlite),
            ("a\u{200b}b", Engine::PostgreSql),
        ] {
            assert_eq!(delete(odd, engine), None, "{odd:?}");
        }
    }
}
