//! A drawing of cost against work, both axes logarithmic, in the colours of the reader.

use std::fmt;

use crate::Growth;

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 46.0;

const STYLE: &str = "text{font:12px sans-serif;fill:#222}.axis{stroke:#999;stroke-width:1}.grid{stroke:#ddd;\
stroke-width:1}.seen{stroke:#0b62a4;fill:none;stroke-width:2}.dot{fill:#0b62a4}.allowed{stroke:#b35900;fill:none;\
stroke-width:1.5;stroke-dasharray:5 4}@media(prefers-color-scheme:dark){text{fill:#ddd}.axis{stroke:#888}\
.grid{stroke:#444}.seen{stroke:#6cb6ff}.dot{fill:#6cb6ff}.allowed{stroke:#ffb366}}";

/// One axis: the powers of ten that it spans.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min).log10().floor();
        let high = values.fold(f64::NEG_INFINITY, f64::max).log10().ceil();
        Self { low, high: high.max(low + 1.0), from, to }
    }

    fn place(&self, value: f64) -> f64 {
        self.from + (value.log10() - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    fn powers(&self) -> impl Iterator<Item = f64> {
        let (low, high) = (self.low as i32, self.high as i32);
        (low..=high).map(|power| 10_f64.powi(power))
    }
}

/// What becomes the file.
pub(crate) struct Drawing<'g> {
    growth: &'g Growth,
    across: Axis,
    up: Axis,
}

impl<'g> Drawing<'g> {
    pub(crate) fn of(growth: &'g Growth) -> Self {
        let sizes = growth.points.iter().map(|(size, _)| *size);
        let costs = growth.points.iter().flat_map(|&(size, cost)| [cost, growth.allowed(size)]);
        let across = Axis::over(sizes, LEFT, WIDTH - RIGHT);
        let up = Axis::over(costs, HEIGHT - BOTTOM, TOP);
        Self { growth, across, up }
    }

    fn grid(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bottom = HEIGHT - BOTTOM;
        for power in self.across.powers() {
            let x = self.across.place(power);
            write!(f, "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>")?;
            let y = bottom + 16.0;
            writeln!(f, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{}</text>", count(power))?;
        }
        for power in self.up.powers() {
            let (y, right) = (self.up.place(power), WIDTH - RIGHT);
            write!(f, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>")?;
            let (x, y) = (LEFT - 6.0, y + 4.0);
            writeln!(f, "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{}</text>", time(power))?;
        }
        writeln!(f, "<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{}\" fill=\"none\"/>", WIDTH - RIGHT)
    }

    fn line(&self, costs: impl Fn(f64, f64) -> f64) -> String {
        let points = self.growth.points.iter().map(|&(size, cost)| {
            format!("{:.1},{:.1}", self.across.place(size), self.up.place(costs(size, cost)))
        });
        points.collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Drawing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Growth { title, unit, points, .. } = self.growth;
        writeln!(
            f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"{title}\"><style>{STYLE}</style>"
        )?;
        writeln!(f, "<text x=\"{LEFT}\" y=\"18\">{title}</text>")?;
        self.grid(f)?;
        let (middle, foot) = ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 10.0);
        writeln!(
            f,
            "<text x=\"{middle}\" y=\"{foot}\" text-anchor=\"middle\">{unit}; dashed: n log n</text>"
        )?;
        let allowed = self.line(|size, _| self.growth.allowed(size));
        writeln!(f, "<polyline class=\"allowed\" points=\"{allowed}\"/>")?;
        writeln!(f, "<polyline class=\"seen\" points=\"{}\"/>", self.line(|_, cost| cost))?;
        for &(size, cost) in points {
            let (x, y) = (self.across.place(size), self.up.place(cost));
            writeln!(
                f,
                "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"><title>{size}: {cost:.4} s</title></circle>"
            )?;
        }
        writeln!(f, "</svg>")
    }
}

fn count(number: f64) -> String {
    match number {
        millions if millions >= 1e6 => format!("{:.0}M", millions / 1e6),
        thousands if thousands >= 1e3 => format!("{:.0}k", thousands / 1e3),
        few => format!("{few:.0}"),
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        short if short < 0.999e-3 => format!("{:.0} us", short * 1e6),
        middle if middle < 0.999 => format!("{:.0} ms", middle * 1e3),
        long => format!("{long:.0} s"),
    }
}
