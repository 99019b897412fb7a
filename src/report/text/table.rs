//! A table fitted to the page: long cells are cut, and columns that can be made narrower are.

use super::page::{Page, Piece, Tint, piece, plain, safe};

/// A column.
pub(super) struct Column {
    /// What stands above it.
    pub(super) title: &'static str,
    /// Characters of a cell before it is cut.
    pub(super) most: usize,
    /// Characters that it may be narrowed to where the page is too narrow; `most` for not at all.
    pub(super) least: usize,
    /// Whether the end of a cell says more than its beginning, as that of a path does.
    pub(super) keep_end: bool,
}

/// What stands between columns.
const BETWEEN: &str = "  ";

/// Writes the table. A row has a cell for every column; a column without any text is left out.
pub(super) fn write<const N: usize>(page: &mut Page, columns: &[Column; N], rows: &[[(Tint, String); N]]) {
    let widths = widths(columns, rows, page.width());
    let header = columns.each_ref().map(|column| (Tint::Faint, column.title.to_owned()));
    for row in std::iter::once(&header).chain(rows) {
        let cells = row.iter().zip(columns).zip(&widths).filter(|(_, width)| **width > 0);
        let pieces: Vec<Piece> = cells
            .flat_map(|(((tint, text), column), width)| {
                let text = fit(text, column, *width);
                let pad = width.saturating_sub(text.chars().count());
                [piece(*tint, text), plain(format!("{}{BETWEEN}", " ".repeat(pad)))]
            })
            .collect();
        page.line(&pieces);
    }
}

fn fit(text: &str, column: &Column, width: usize) -> String {
    let text = safe(text, column.most);
    let length = text.chars().count();
    match length.checked_sub(width) {
        None | Some(0) => text,
        Some(over) if column.keep_end => format!("…{}", text.chars().skip(over + 1).collect::<String>()),
        Some(_) => safe(&text, width),
    }
}

/// The natural widths, narrowed from the last column to the first until the page is wide enough. What
/// cannot be narrowed stays: a version that is cut is of no use.
fn widths<const N: usize>(
    columns: &[Column; N],
    rows: &[[(Tint, String); N]],
    page_width: usize,
) -> Vec<usize> {
    let mut widths = vec![0; N];
    for row in rows {
        for ((width, (_, text)), column) in widths.iter_mut().zip(row).zip(columns) {
            *width = (*width).max(safe(text, column.most).chars().count());
        }
    }
    for (width, column) in widths.iter_mut().zip(columns).filter(|(width, _)| **width > 0) {
        *width = (*width).max(column.title.chars().count());
    }
    let shown = widths.iter().filter(|width| **width > 0).count();
    let all = widths.iter().sum::<usize>() + BETWEEN.len() * shown.saturating_sub(1);
    let mut over = all.saturating_sub(page_width);
    for (width, column) in widths.iter_mut().zip(columns).rev() {
        let spare = width.saturating_sub(column.least.max(column.title.chars().count())).min(over);
        *width -= spare;
        over -= spare;
    }
    widths
}
