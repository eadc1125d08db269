//! A unified diff of two texts that differ in one place.

/// Lines shown before and after what changed.
const CONTEXT: usize = 2;
/// Most changed lines shown on each side.
const MAX_LINES: usize = 60;

/// The lines that differ, with what stands around them. Bytes that are no text are shown as U+FFFD.
pub(crate) fn unified(before: &[u8], after: &[u8]) -> String {
    let (old, new) = (lines(before), lines(after));
    let same = |pair: &(&String, &String)| pair.0 == pair.1;
    let head = old.iter().zip(&new).take_while(same).count();
    let rest = old.len().min(new.len()) - head;
    let tail = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(same).count();
    let (old_end, new_end) = (old.len() - tail, new.len() - tail);
    if head == old_end && head == new_end {
        return String::new();
    }
    let from = head.saturating_sub(CONTEXT);
    let to = (old_end + CONTEXT).min(old.len());
    let old_size = to - from;
    let new_size = (old_size + new_end) - old_end;
    let mut out = format!("@@ -{},{} +{},{} @@\n", from + 1, old_size, from + 1, new_size);
    let mut say = |sign: char, text: &[String]| {
        for line in text.iter().take(MAX_LINES) {
            out.push_str(&format!("{sign}{line}\n"));
        }
        if text.len() > MAX_LINES {
            out.push_str(&format!("{sign}(and {} lines more)\n", text.len() - MAX_LINES));
        }
    };
    say(' ', &old[from..head]);
    say('-', &old[head..old_end]);
    say('+', &new[head..new_end]);
    say(' ', &old[old_end..to]);
    out
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown() {
        let before = b"a\nb\nc\nd\ne\nf\n";
        assert_eq!(unified(before, b"a\nb\nc\nX\ne\nf\n"), "@@ -2,5 +2,5 @@\n b\n c\n-d\n+X\n e\n f\n");
        assert_eq!(unified(before, b"a\nb\nc\ne\nf\n"), "@@ -2,5 +2,4 @@\n b\n c\n-d\n e\n f\n");
        assert_eq!(unified(before, b"a\nb\nc\nd\nX\ne\nf\n"), "@@ -3,4 +3,5 @@\n c\n d\n+X\n e\n f\n");
        assert_eq!(unified(before, before), "");
        assert_eq!(unified(b"", b"x"), "@@ -1,0 +1,1 @@\n+x\n");
    }
}
