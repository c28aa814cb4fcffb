//! Which pictures make the next batch: pairs of one class ("SPC-2", two samples per class).
//!
//! Every epoch visits each training picture once as an anchor, in a fresh order; its partner is any picture of
//! the same class. Nothing else balances the classes, and a class may occur many times in one batch.

use std::collections::BTreeMap;

use rand::{Rng, RngCore, seq::SliceRandom};

/// Draws batches of pairs, epoch after epoch, without end.
#[derive(Clone, Debug)]
pub struct PairSampler {
    labels: Vec<u32>,
    members: BTreeMap<u32, Vec<usize>>,
    pairs: usize,
    order: Vec<usize>,
    next: usize,
}

impl PairSampler {
    /// A sampler over pictures with these labels, `pairs` pairs a batch (the last batch of an epoch may be smaller).
    #[must_use]
    pub fn new(labels: &[u32], pairs: usize) -> Self {
        let mut members: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (picture, &label) in labels.iter().enumerate() {
            members.entry(label).or_default().push(picture);
        }
        let order: Vec<usize> = (0..labels.len()).collect();
        Self { labels: labels.to_vec(), members, pairs, next: order.len(), order }
    }

    /// The pictures of the next batch: anchor 0, positive 0, anchor 1, positive 1, …
    ///
    /// The partner is drawn from the anchor's whole class, the anchor itself included: the method's own batches
    /// hold such duplicates, with probability 1 / class size.
    pub fn next_batch(&mut self, rng: &mut dyn RngCore) -> Vec<usize> {
        if self.next >= self.order.len() {
            self.order.shuffle(rng);
            self.next = 0;
        }
        let end = (self.next + self.pairs).min(self.order.len());
        let anchors = self.next..end;
        self.next = end;
        anchors.flat_map(|position| self.pair(self.order[position], rng)).collect()
    }

    fn pair(&self, anchor: usize, rng: &mut dyn RngCore) -> [usize; 2] {
        let class = &self.members[&self.labels[anchor]];
        [anchor, class[rng.random_range(0..class.len())]]
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const LABELS: [u32; 7] = [0, 1, 0, 2, 1, 0, 2];

    #[test]
    fn every_picture_is_an_anchor_once_an_epoch_and_the_last_batch_is_kept() {
        let mut sampler = PairSampler::new(&LABELS, 3);
        let mut rng = ChaCha8Rng::seed_from_u64(1);

        for _epoch in 0..3 {
            let batches: Vec<Vec<usize>> = (0..3).map(|_| sampler.next_batch(&mut rng)).collect();
            let mut anchors: Vec<usize> = batches.concat().into_iter().step_by(2).collect();
            anchors.sort_unstable();

            assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [6, 6, 2]);
            assert_eq!(anchors, [0, 1, 2, 3, 4, 5, 6]);
        }
    }

    #[test]
    fn partners_share_the_anchors_class_and_each_member_is_drawn_the_anchor_too() {
        let mut sampler = PairSampler::new(&LABELS, 7);
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut partners_of_picture_0 = [0usize; 7];

        for _epoch in 0..300 {
            for pair in sampler.next_batch(&mut rng).chunks(2) {
                assert_eq!(LABELS[pair[0]], LABELS[pair[1]]);
                if pair[0] == 0 {
                    partners_of_picture_0[pair[1]] += 1;
                }
            }
        }

        // 300 draws from three members: each about 100, standard deviation 8.
        assert!([0, 2, 5].iter().all(|&member| partners_of_picture_0[member] > 60), "{partners_of_picture_0:?}");
    }

    #[test]
    fn epochs_differ_in_order_and_the_seed_decides_it() {
        let anchors = |seed: u64| {
            let mut sampler = PairSampler::new(&[0; 50], 50);
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            [0, 1].map(|_epoch| sampler.next_batch(&mut rng).into_iter().step_by(2).collect::<Vec<_>>())
        };

        let [first, second] = anchors(3);

        assert_ne!(first, second);
        assert_eq!(anchors(3), [first.clone(), second]);
        assert_ne!(anchors(4)[0], first);
    }
}
