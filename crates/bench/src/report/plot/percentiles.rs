//! From the half to the thousandth of the slowest, for each system on one axis.

use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::drawing::DrawingAreaErrorKind;
use plotters::prelude::{
    ChartBuilder, Circle, DrawingBackend, IntoDrawingArea as _, IntoLogRange as _, PathElement,
    SVGBackend, Text,
};
use plotters::style::Color as _;
use plotters::style::text_anchor::HPos;

use super::super::number;
use super::{GRID, MUTED, SMALL, WIDTH, color, font, picture, pixel, words};

const ROW: u32 = 78;
const AXIS: u32 = 50;
const DOT: i32 = 9;
/// An axis whose ends are so many times apart is better read in powers of ten.
const LOGARITHMIC_FROM: f64 = 20.0;

/// What is drawn of a system, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Percentiles {
    pub(in super::super) p50: f64,
    pub(in super::super) p99: f64,
    pub(in super::super) p999: f64,
}

/// Draws the percentiles of systems, each with its name and place; `None` without any.
pub(in super::super) fn percentiles(all: &[(&str, usize, Percentiles)]) -> Option<String> {
    let times = |of: fn(&Percentiles) -> f64| all.iter().map(move |(_, _, summary)| of(summary));
    let least = times(|it| it.p50).fold(f64::INFINITY, f64::min);
    let most = times(|it| it.p999).fold(0.0, f64::max);
    if all.is_empty() || !least.is_finite() || !most.is_finite() || most <= 0.0 {
        return None;
    }
    let height = ROW * u32::try_from(all.len()).ok()? + AXIS;
    picture(height, |backend| {
        if least > 0.0 && most / least >= LOGARITHMIC_FROM {
            draw(backend, all, (least / 1.5..most * 1.5).log_scale())
        } else {
            draw(backend, all, 0.0..most * 1.05)
        }
    })
}

type Failure<'a> = DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>;

fn draw<'a, X>(
    backend: SVGBackend<'a>,
    all: &[(&str, usize, Percentiles)],
    range: X,
) -> Result<(), Failure<'a>>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let area = backend.into_drawing_area();
    let rows = f64::from(u32::try_from(all.len()).unwrap_or(u32::MAX));
    let mut chart = ChartBuilder::on(&area)
        .x_label_area_size(AXIS)
        .margin_left(36)
        .margin_right(36)
        .build_cartesian_2d(range, rows..0.0)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels(6)
        .x_label_formatter(&|ms| format!("{} ms", number::plain(*ms)))
        .label_style(font(SMALL).color(&MUTED))
        .axis_style(GRID)
        .bold_line_style(GRID)
        .light_line_style(GRID.mix(0.0))
        .draw()?;
    for (row, (name, place, summary)) in (0_u32..).zip(all) {
        let dots = f64::from(row) + 0.68;
        let ends = [summary.p50, summary.p999].map(|ms| (ms, dots));
        let plain = color(*place);
        chart.draw_series([PathElement::new(ends, plain.stroke_width(4))])?;
        chart.draw_series([
            Circle::new((summary.p50, dots), DOT, plain.filled()),
            Circle::new((summary.p99, dots), DOT, plain.filled()),
            Circle::new((summary.p999, dots), DOT, plain.filled()),
        ])?;
        let top = pixel(f64::from(row * ROW)) + 18;
        let name = Text::new((*name).to_owned(), (0, top), words(HPos::Left));
        area.draw(&name)?;
        let times = [summary.p50, summary.p99, summary.p999].map(number::figure);
        let times = format!("{} ms", times.join(" / "));
        let end = pixel(f64::from(WIDTH));
        area.draw(&Text::new(times, (end, top), words(HPos::Right)))?;
    }
    area.present()
}
