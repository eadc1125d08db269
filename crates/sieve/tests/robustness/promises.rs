//! What holds for any bytes.

use sieve_analysis::lexer::tokenize;
use sieve_analysis::{Dialect, EffectKind, LineIndex, audit};

/// Tokens joined are the script, every dialect answers, what is not understood is reported, and every place
/// lies in the script.
pub(crate) fn holds(script: &[u8]) {
    let result = audit(script, &Dialect::ALL, true);
    for (dialect, analysis) in &result.dialects {
        assert_eq!(joined(script, *dialect), script, "{dialect}");
        assert!(analysis.covered_bytes <= script.len());
        let unknown = analysis.effects.iter().any(|effect| effect.kind == EffectKind::Unknown);
        assert_eq!(analysis.covered_bytes < script.len(), unknown, "{dialect}: uncovered bytes are reported");
        for effect in &analysis.effects {
            assert!(effect.span.start <= effect.span.end && effect.span.end <= script.len());
            let place = LineIndex::new(script).position(effect.span.start);
            assert_eq!(place, (effect.span.line, effect.span.column));
        }
    }
}

fn joined(script: &[u8], dialect: Dialect) -> Vec<u8> {
    tokenize(script, dialect).iter().flat_map(|token| token.bytes(script).iter().copied()).collect()
}
