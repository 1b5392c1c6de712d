//! The plots: bars for what is compared, lines for what grows.
//!
//! Without a background, and in colours that can be read on a light page and on a dark one.

use std::error::Error;
use std::fs;
use std::path::Path;

use plotters::chart::ChartBuilder;
use plotters::coord::Shift;
use plotters::coord::combinators::IntoLogRange;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Rectangle, Text};
use plotters::prelude::SVGBackend;
use plotters::series::LineSeries;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, RGBColor, ShapeStyle, TextStyle};

use crate::Failure;
use crate::figures::{Figures, Spread};
use crate::scenarios::{FLOOR, OURS, Scenario, all as table};
use crate::tables::{Series, series};

const TEXT: RGBColor = RGBColor(0x80, 0x86, 0x8f);
const MINE: RGBColor = RGBColor(0x2f, 0x81, 0xf7);
const THEIRS: RGBColor = RGBColor(0xbf, 0x87, 0x00);
const LEAST: RGBColor = RGBColor(0x6e, 0x9f, 0x6e);
const LINES: [RGBColor; 5] = [
    MINE,
    THEIRS,
    RGBColor(0x3f, 0xa0, 0x50),
    RGBColor(0xc0, 0x50, 0x80),
    RGBColor(0x80, 0x70, 0xd0),
];

const WIDTH: u32 = 760;
const BAR: i32 = 22;
const NAMES: i32 = 180;
/// Right of the longest bar, for its figure.
const FIGURES: i32 = 130;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A plot: its file, what it shows, and which scenarios it has.
const GROUPS: [(&str, &str, &[&str]); 4] = [
    (
        "requests",
        "HTTPS",
        &["request-13b", "file-1k", "file-64k", "file-64m"],
    ),
    (
        "echo",
        "WebSocket echo",
        &["echo-64b", "echo-64b-16", "echo-16k", "echo-16k-16"],
    ),
    (
        "connections",
        "Broadcast and handshakes",
        &["broadcast-500", "handshake", "handshake-resumed"],
    ),
    (
        "memory",
        "Idle memory and start",
        &["idle-memory", "idle-memory-carried", "start"],
    ),
];

/// Draws all that there are figures for; returns titles and names of the files.
pub(crate) fn draw(figures: &Figures, folder: &Path) -> Result<Vec<(String, String)>, Failure> {
    fs::create_dir_all(folder)?;
    let mut drawn = Vec::new();
    for (name, title, ids) in GROUPS {
        let mut panels = table();
        panels.retain(|scenario| ids.contains(&scenario.id));
        let panels: Vec<Panel<'_>> = panels
            .iter()
            .filter_map(|scenario| Panel::new(figures, scenario))
            .collect();
        if panels.is_empty() {
            continue;
        }
        let file = format!("{name}.svg");
        bars(&folder.join(&file), &panels).map_err(|error| failure(&*error))?;
        drawn.push((title.to_owned(), file));
    }
    let lines = series(figures, OURS);
    if lines.iter().any(|line| line.points.len() > 1) {
        growth(&folder.join("growth.svg"), &lines).map_err(|error| failure(&*error))?;
        drawn.push(("Growth".to_owned(), "growth.svg".to_owned()));
    }
    Ok(drawn)
}

/// Errors of the library live as long as what they are about.
fn failure(error: &dyn Error) -> Failure {
    error.to_string().into()
}

/// The bars of one scenario.
struct Panel<'a> {
    scenario: &'a Scenario,
    rows: Vec<(&'static str, Spread)>,
}

impl<'a> Panel<'a> {
    fn new(figures: &Figures, scenario: &'a Scenario) -> Option<Self> {
        let key = scenario.unit.key;
        let rows: Vec<_> = scenario
            .contestants
            .iter()
            .filter_map(|c| Some((c.name, figures.spread(scenario.id, c.name, key)?)))
            .collect();
        (!rows.is_empty()).then_some(Self { scenario, rows })
    }

    fn height(&self) -> i32 {
        (i32::try_from(self.rows.len()).unwrap_or(0) + 2) * BAR
    }
}

fn style(size: i32, horizontal: HPos) -> TextStyle<'static> {
    let font = ("sans-serif", size).into_font();
    TextStyle::from(font)
        .color(&TEXT)
        .pos(Pos::new(horizontal, VPos::Center))
}

fn bars(path: &Path, panels: &[Panel<'_>]) -> Result<(), Box<dyn Error>> {
    let height: i32 = panels.iter().map(Panel::height).sum();
    let area = SVGBackend::new(path, (WIDTH, u32::try_from(height)?)).into_drawing_area();
    let mut top = 0;
    for panel in panels {
        bars_of(&area, panel, top)?;
        top += panel.height();
    }
    area.present()?;
    Ok(())
}

fn bars_of(area: &Area<'_>, panel: &Panel<'_>, top: i32) -> Result<(), Box<dyn Error>> {
    let unit = panel.scenario.unit;
    let title = format!("{} ({})", panel.scenario.title, unit.title);
    area.draw(&Text::new(title, (4, top + BAR), style(15, HPos::Left)))?;
    let most = panel.rows.iter().map(|(_, spread)| spread.max);
    let most = most.fold(f64::MIN_POSITIVE, f64::max);
    let room = f64::from(i32::try_from(WIDTH)? - NAMES - FIGURES);
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a place on a plot that is a few hundred wide"
    )]
    let x = |figure: f64| NAMES + (figure / most * room).round() as i32;
    let mut y = top + BAR * 3 / 2;
    for (name, spread) in &panel.rows {
        let middle = y + BAR / 2;
        let colour = if *name == FLOOR {
            LEAST
        } else if name.starts_with(OURS) {
            MINE
        } else {
            THEIRS
        };
        area.draw(&Text::new(
            *name,
            (NAMES - 8, middle),
            style(13, HPos::Right),
        ))?;
        let corners = [(NAMES, y + 3), (x(spread.median), y + BAR - 3)];
        area.draw(&Rectangle::new(corners, colour.filled()))?;
        // From the least to the most of all rounds.
        let ends = vec![(x(spread.min), middle), (x(spread.max), middle)];
        area.draw(&PathElement::new(ends, TEXT.stroke_width(2)))?;
        let figure = unit.print(spread.median);
        let place = (x(spread.max.max(spread.median)) + 8, middle);
        area.draw(&Text::new(figure, place, style(13, HPos::Left)))?;
        y += BAR;
    }
    Ok(())
}

fn growth(path: &Path, all: &[Series]) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(path, (WIDTH, 360)).into_drawing_area();
    let relative = |series: &Series| -> Vec<(f64, f64)> {
        let first = series.points.first().map_or(1.0, |point| point.figure);
        let points = series.points.iter();
        points
            .map(|p| (p.connections as f64, p.figure / first))
            .collect()
    };
    let most = all.iter().flat_map(&relative).map(|(_, of)| of);
    let most = most.fold(1.5, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .margin_right(110)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d((100.0..10_000.0).log_scale(), 0.0..most)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(ShapeStyle::from(TEXT.mix(0.0)))
        .bold_line_style(TEXT.mix(0.25))
        .axis_style(TEXT)
        .label_style(("sans-serif", 13).into_font().color(&TEXT))
        .x_desc("connections")
        .y_desc("of the figure at 100")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.1}"))
        .draw()?;
    // Names that would lie on each other are moved apart.
    let mut ends: Vec<(f64, &str, RGBColor)> = Vec::new();
    for (series, colour) in all.iter().zip(LINES) {
        let points = relative(series);
        chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?;
        let dots = points
            .iter()
            .map(|point| Circle::new(*point, 3, colour.filled()));
        chart.draw_series(dots)?;
        if let Some((_, y)) = points.last() {
            ends.push((*y, series.title, colour));
        }
    }
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let apart = most / 18.0;
    let mut above = f64::NEG_INFINITY;
    for (y, title, colour) in ends {
        above = y.max(above + apart);
        let (_, place_y) = chart.backend_coord(&(10_000.0, above));
        let place = (i32::try_from(WIDTH)? - 100, place_y);
        let style = style(13, HPos::Left).color(&colour);
        area.draw(&Text::new(title, place, style))?;
    }
    area.present()?;
    Ok(())
}
