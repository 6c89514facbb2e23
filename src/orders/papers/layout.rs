//! Where the pages of a paper break. Heights in, pages out.

/// A piece of a paper that is on one page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece {
    /// In points.
    pub height: f32,
    /// It is on the same page as the piece after it, where both fit on one.
    pub keeps: bool,
    /// Above it, or above what is above it, the table's head is on every page.
    pub is_row: bool,
}

/// A page: the pieces on it, by their places, and whether the table's head stands above them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    pub pieces: Vec<usize>,
    pub has_head: bool,
}

/// Fills pages of `height`. `head` is how much of it the table's head takes where it is repeated.
pub fn pages(pieces: &[Piece], height: f32, head: f32) -> Vec<Page> {
    let mut pages = vec![Page::default()];
    let mut left = height;
    let mut at = 0;
    while at < pieces.len() {
        let group = 1 + pieces[at..].iter().take_while(|piece| piece.keeps).count();
        let group = &pieces[at..(at + group).min(pieces.len())];
        let needs: f32 = group.iter().map(|piece| piece.height).sum();
        let room = if group[0].is_row { height - head } else { height };
        // A group that no page can hold is set piece by piece.
        let fits_nowhere = needs > room;
        let (count, needs) = if fits_nowhere { (1, group[0].height) } else { (group.len(), needs) };
        if needs > left && left < height {
            let has_head = group[0].is_row;
            pages.push(Page { pieces: Vec::new(), has_head });
            left = if has_head { room } else { height };
        }
        pages.last_mut().expect("there is one from the start").pieces.extend(at..at + count);
        left -= needs;
        at += count;
    }
    pages
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(height: f32) -> Piece {
        Piece { height, keeps: false, is_row: true }
    }

    fn placed(pieces: &[Piece]) -> Vec<(Vec<usize>, bool)> {
        pages(pieces, 100.0, 10.0).into_iter().map(|page| (page.pieces, page.has_head)).collect()
    }

    #[test]
    fn rows_go_over_with_the_head_above_them() {
        assert_eq!(placed(&[row(40.0), row(40.0), row(40.0)]), [(vec![0, 1], false), (vec![2], true)]);
    }

    #[test]
    fn the_total_takes_the_last_row_with_it() {
        let last = Piece { keeps: true, ..row(20.0) };
        let total = Piece { height: 30.0, keeps: false, is_row: false };
        assert_eq!(placed(&[row(40.0), row(20.0), last, total]), [(vec![0, 1], false), (vec![2, 3], true)]);
    }

    #[test]
    fn what_no_page_can_hold_together_is_broken() {
        let kept = |height| Piece { height, keeps: true, is_row: false };
        assert_eq!(placed(&[kept(60.0), kept(60.0), row(20.0)]), [(vec![0], false), (vec![1, 2], false)]);
    }

    proptest! {
        #[test]
        fn every_piece_is_on_one_page_and_none_is_overfull(
            all in prop::collection::vec((1.0_f32..90.0, any::<bool>(), any::<bool>()), 0..60)
        ) {
            let pieces: Vec<_> =
                all.into_iter().map(|(height, keeps, is_row)| Piece { height, keeps, is_row }).collect();
            let pages = pages(&pieces, 100.0, 10.0);
            let order: Vec<usize> = pages.iter().flat_map(|page| page.pieces.clone()).collect();
            prop_assert_eq!(order, (0..pieces.len()).collect::<Vec<_>>());
            for page in pages {
                let used: f32 = page.pieces.iter().map(|at| pieces[*at].height).sum();
                let head = if page.has_head { 10.0 } else { 0.0 };
                prop_assert!(used + head <= 100.01, "{used} and a head of {head}");
            }
        }
    }
}
