//! Places in a script.

/// A half-open range of bytes with the line and column of its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte.
    pub end: usize,
    /// Line of the first byte, counted from 1. Lines end at LF.
    pub line: usize,
    /// Column of the first byte, counted from 1 in bytes.
    pub column: usize,
}

/// Finds line and column of an offset.
#[derive(Debug, Clone)]
pub struct LineIndex {
    starts: Vec<usize>,
}

impl LineIndex {
    /// Notes where the lines of `script` begin. Only LF ends a line; CR is a byte like others.
    #[must_use]
    pub fn new(script: &[u8]) -> Self {
        let newlines = script.iter().filter(|byte| **byte == b'\n').count();
        let mut starts = Vec::with_capacity(newlines + 1);
        starts.push(0);
        starts.extend(script.iter().zip(1..).filter(|(byte, _)| **byte == b'\n').map(|(_, after)| after));
        Self { starts }
    }

    /// Line and column of `offset`, both from 1; the column counts bytes.
    #[must_use]
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset);
        (line, offset - self.starts[line - 1] + 1)
    }

    /// The range with its position.
    #[must_use]
    pub fn span(&self, start: usize, end: usize) -> Span {
        let (line, column) = self.position(start);
        Span { start, end, line, column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_in_bytes() {
        let index = LineIndex::new("a\u{e9}b\r\ncd\n".as_bytes());
        assert_eq!(index.position(0), (1, 1));
        assert_eq!(index.position(3), (1, 4));
        assert_eq!(index.position(6), (2, 1));
        assert_eq!(index.position(9), (3, 1));
    }
}
