use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The columns that a text takes on a terminal: two for `你`, none for a combining accent.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
}

/// Between two parts.
pub(crate) const GAP: usize = 2;

/// As many parts as `room` takes, each with a gap before it, the least important last. The first one always stays: a path loses folders
/// from the left before a part is left out, and is cut itself where it is alone and still too long.
pub(crate) fn fit(mut parts: Vec<String>, room: usize) -> Vec<String> {
    while let Some((first, others)) = parts.split_first() {
        let taken: usize = others.iter().map(|part| GAP + columns(part)).sum();
        let free = room.saturating_sub(taken + GAP);
        let short = shorter(first).find(|path| columns(path) <= free);
        if let Some(short) = short {
            parts.splice(..1, [short]);
            break;
        }
        if others.is_empty() {
            let cut = cut(first, free);
            parts = Vec::from_iter(Some(cut).filter(|cut| !cut.is_empty()));
            break;
        }
        parts.pop();
    }
    parts
}

/// `/a/b/c.txt`, `…/b/c.txt`, `…/c.txt`.
fn shorter(path: &str) -> impl Iterator<Item = String> + '_ {
    let within = 1..path.len().saturating_sub(1);
    let folders = path.match_indices('/').map(|(at, _)| at).filter(move |at| within.contains(at));
    std::iter::once(path.to_owned()).chain(folders.map(|at| format!("…{}", &path[at..])))
}

/// The front of a text and `…`. What is one sign to a reader stays whole or goes whole.
fn cut(text: &str, columns_free: usize) -> String {
    const JOINER: char = '\u{200d}';

    let ends = text
        .char_indices()
        .zip(text.chars().skip(1))
        .filter(|((_, before), after)| *before != JOINER && *after != JOINER && after.width().is_none_or(|columns| columns > 0));
    let ends = ends.map(|((at, before), _)| at + before.len_utf8());
    match ends.take_while(|end| columns(&text[..*end]) < columns_free).last() {
        Some(end) => format!("{}…", &text[..end]),
        None if columns_free > 0 => "…".to_owned(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_stays_longest_then_who_then_the_size() {
        let parts = ["/Plans/2026/Review.pptx", "Adele Vance", "12.3 kB", "[me]"].map(str::to_owned);
        for (room, line) in [
            (60, "/Plans/2026/Review.pptx|Adele Vance|12.3 kB|[me]"),
            (53, "/Plans/2026/Review.pptx|Adele Vance|12.3 kB|[me]"),
            (52, "…/2026/Review.pptx|Adele Vance|12.3 kB|[me]"),
            (47, "…/Review.pptx|Adele Vance|12.3 kB|[me]"),
            (42, "…/2026/Review.pptx|Adele Vance|12.3 kB"),
            (36, "…/2026/Review.pptx|Adele Vance"),
            (28, "…/Review.pptx|Adele Vance"),
            (27, "/Plans/2026/Review.pptx"),
            (15, "…/Review.pptx"),
            (14, "/Plans/2026…"),
            (3, "…"),
            (2, ""),
        ] {
            let fitted = fit(parts.to_vec(), room);
            assert_eq!(fitted.join("|"), line, "{room}");
            assert!(fitted.iter().map(|part| GAP + columns(part)).sum::<usize>() <= room);
        }
        assert!(fit(Vec::new(), 10).is_empty());
    }

    #[test]
    fn a_sign_is_as_wide_as_a_terminal_shows_it_and_is_not_torn() {
        for (text, free, want) in [
            ("你好世界.txt", 6, "你好…"),
            ("你好世界.txt", 5, "你好…"),
            ("你好世界.txt", 4, "你…"),
            ("cafe\u{301}s.txt", 5, "cafe\u{301}…"),
            ("cafe\u{301}s.txt", 4, "caf…"),
            ("👩\u{200d}💻 notes", 3, "👩\u{200d}💻…"),
            ("👩\u{200d}💻 notes", 2, "…"),
        ] {
            assert_eq!(cut(text, free), want, "{free}");
        }
    }
}
