//! The audit as JSON and its like: lower-case snake names, targets as plain strings.

use crate::audit::{Analysis, Audit};
use crate::differences::Difference;
use crate::effects::{Content, Effect, Role, Severity, Step, Target, UiRule, UiView};
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
            self.targets.iter().filter(|target| target.role != Role::From).map(Target::text).collect();
        let addresses: Vec<TargetRecord<'_>> = self.targets.iter().map(TargetRecord).collect();
        let classes: Vec<&str> = self.classes.iter().map(|class| class.name()).collect();
        let mut effect = serializer.serialize_struct("Effect", 19)?;
        effect.serialize_field("id", &self.id)?;
        effect.serialize_field("kind", self.kind.name())?;
        effect.serialize_field("targets", &targets)?;
        effect.serialize_field("form", self.form.name())?;
        effect.serialize_field("reach", self.reach.name())?;
        effect.serialize_field("local_copy", self.local_copy.name())?;
        effect.serialize_field("span", &self.span)?;
        effect.serialize_field("target_details", &addresses)?;
        effect.serialize_field("conditions", &self.conditions)?;
        effect.serialize_field("condition_classes", &classes)?;
        effect.serialize_field("dormant_until", &self.window.not_before)?;
        effect.serialize_field("ends_after", &self.window.not_after)?;
        effect.serialize_field("content", &self.content)?;
        effect.serialize_field("steps", &self.steps)?;
        effect.serialize_field("rule", &self.rule_name)?;
        effect.serialize_field("ui", &self.ui)?;
        effect.serialize_field("sender_controlled", &self.sender_controlled)?;
        effect.serialize_field("via", &self.via)?;
        effect.serialize_field("script", &self.script)?;
        effect.end()
    }
}

struct TargetRecord<'a>(&'a Target);

impl Serialize for TargetRecord<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut target = serializer.serialize_struct("Target", 3)?;
        target.serialize_field("role", self.0.role.name())?;
        target.serialize_field("raw", &self.0.raw)?;
        target.serialize_field("address", &self.0.address)?;
        target.end()
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut content = serializer.serialize_struct("Content", 3)?;
        content.serialize_field("form", self.form.name())?;
        content.serialize_field("from_message", &self.from_message)?;
        content.serialize_field("mentions", &self.mentions)?;
        content.end()
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut step = serializer.serialize_struct("Step", 3)?;
        step.serialize_field("script", &self.script)?;
        step.serialize_field("span", &self.span)?;
        step.serialize_field("what", self.what)?;
        step.end()
    }
}

impl Serialize for UiView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut view = serializer.serialize_struct("UiView", 5)?;
        view.serialize_field("ui", self.ui)?;
        view.serialize_field("visible", self.visible.name())?;
        view.serialize_field("why", self.why)?;
        view.serialize_field("enabled", &self.enabled)?;
        view.serialize_field("rewritten", &self.rewritten)?;
        view.end()
    }
}

impl Serialize for Difference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut difference = serializer.serialize_struct("Difference", 2)?;
        difference.serialize_field("message", &self.message)?;
        difference.serialize_field("span", &self.span)?;
        difference.end()
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
        let mut audit = serializer.serialize_struct("Audit", 5)?;
        audit.serialize_field("bytes", &self.bytes)?;
        audit.serialize_field("covered_bytes", &self.covered_bytes)?;
        audit.serialize_field("dialects", &Dialects(self))?;
        audit.serialize_field("disagreement", &self.disagreement)?;
        audit.serialize_field("differences", &self.differences)?;
        audit.end()
    }
}
