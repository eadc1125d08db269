//! The audit as JSON and its like: lower-case snake names, targets as plain strings.

use crate::audit::{Analysis, Audit};
use crate::effects::{Effect, Role, Severity, UiRule};
use crate::span::Span;
use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut span = serializer.serialize_struct("Span", 4)?;
        span.serialize_field("start", &self.start)?;
        span.serialize_field("end", &self.end)?;
        span.serialize_field("line", &self.line)?;
        span.serialize_field("column", &self.column)?;
        span.end()
    }
}

impl Serialize for UiRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rule = serializer.serialize_struct("UiRule", 2)?;
        rule.serialize_field("ui", self.ui)?;
        rule.serialize_field("name", &self.name)?;
        rule.end()
    }
}

impl Serialize for Effect {
    /// The sender that `vacation` shows is not one of its targets.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let targets: Vec<&str> =
            self.targets.iter().filter(|target| target.role != Role::From).map(crate::Target::text).collect();
        let mut effect = serializer.serialize_struct("Effect", 11)?;
        effect.serialize_field("kind", self.kind.name())?;
        effect.serialize_field("targets", &targets)?;
        effect.serialize_field("form", self.form.name())?;
        effect.serialize_field("reach", self.reach.name())?;
        effect.serialize_field("local_copy", self.local_copy.name())?;
        effect.serialize_field("span", &self.span)?;
        effect.serialize_field("conditions", &self.conditions)?;
        effect.serialize_field("rule", &self.rule_name)?;
        effect.serialize_field("sender_controlled", &self.sender_controlled)?;
        effect.serialize_field("via", &self.via)?;
        effect.serialize_field("script", &self.script)?;
        effect.end()
    }
}

struct Problem<'a>(&'a crate::Diagnostic);

impl Serialize for Problem<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let severity = if self.0.severity == Severity::Error { "error" } else { "warning" };
        let mut problem = serializer.serialize_struct("Diagnostic", 3)?;
        problem.serialize_field("severity", severity)?;
        problem.serialize_field("message", &self.0.message)?;
        problem.serialize_field("span", &self.0.span)?;
        problem.end()
    }
}

impl Serialize for Analysis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let problems: Vec<Problem<'_>> = self.diagnostics.iter().map(Problem).collect();
        let mut analysis = serializer.serialize_struct("Analysis", 3)?;
        analysis.serialize_field("accepted", &self.accepted)?;
        analysis.serialize_field("effects", &self.effects)?;
        analysis.serialize_field("diagnostics", &problems)?;
        analysis.end()
    }
}

struct Dialects<'a>(&'a Audit);

impl Serialize for Dialects<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.dialects.len()))?;
        for (dialect, analysis) in &self.0.dialects {
            map.serialize_entry(dialect.name(), analysis)?;
        }
        map.end()
    }
}

impl Serialize for Audit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut audit = serializer.serialize_struct("Audit", 4)?;
        audit.serialize_field("bytes", &self.bytes)?;
        audit.serialize_field("covered_bytes", &self.covered_bytes)?;
        audit.serialize_field("dialects", &Dialects(self))?;
        audit.serialize_field("disagreement", &self.disagreement)?;
        audit.end()
    }
}
