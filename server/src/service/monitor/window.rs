//! One window: every configured attack on every set of queries, against one generation.

use std::sync::Arc;
use std::time::Instant;

use holdfast_attack::{Pgd, RankingAttack};
use jiff::Timestamp;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::board::Board;
use super::budget::{Bell, Budget, Paced};
use super::error::WindowError;
use super::measure::{Attacker, QuerySet};
use super::publish::{self, Gauges, SetName};
use super::subject::Subject;
use super::view::{Recall, SetResult, Window};
use crate::config::MonitorConfig;
use crate::metrics::Metrics;
use crate::service::Service;
use crate::service::canary::Canary;

/// What the monitor's thread works with.
pub(super) struct Worker {
    pub service: Arc<Service>,
    pub metrics: Arc<Metrics>,
    pub board: Arc<Board>,
    pub bell: Arc<Bell>,
    pub config: MonitorConfig,
    pub attacks: Vec<&'static dyn RankingAttack>,
    pub pgd: Pgd,
    pub budget: Budget,
    /// Read at the first window and kept: the set is fixed.
    pub canary: Option<Canary>,
}

impl Worker {
    /// Attacks the generation that is live now. Results are published attack by attack.
    pub fn window(&mut self, number: u64) -> Result<Window, WindowError> {
        let started = Instant::now();
        let generation = self.service.generation();
        let subject = Subject::new(generation, self.config.gallery, &mut self.stream("gallery", 0))?;
        let sets = self.query_sets(&subject, number)?;

        let mut window = Window {
            number,
            generation: subject.generation.id.clone(),
            started: Timestamp::now(),
            duration_seconds: 0.0,
            complete: false,
            gallery: subject.gallery.len(),
            canary: None,
            live: None,
        };
        self.board.progress(&window);
        for (name, set) in &sets {
            let gauges = if *name == sets[0].0 { Gauges::Set } else { Gauges::Leave };
            self.attack_set(&subject, (*name, set, gauges), &mut window, started)?;
        }
        window.complete = true;
        window.duration_seconds = started.elapsed().as_secs_f64();
        publish::window(&self.metrics, &window, Timestamp::now().as_duration().as_secs_f64());
        Ok(window)
    }

    /// The sets to attack, canary first; at least one.
    fn query_sets(&mut self, subject: &Subject, number: u64) -> Result<Vec<(SetName, QuerySet)>, WindowError> {
        let canary = self.canary_set(subject)?.map(|set| (SetName::Canary, set));
        let live = self.live_set(subject, number).map(|set| (SetName::Live, set));
        let sets: Vec<_> = canary.into_iter().chain(live).collect();
        if sets.is_empty() {
            let detail = "waiting for queries: no canary set is configured and no picture was searched by recently";
            return Err(WindowError::Waiting(detail.to_owned()));
        }
        Ok(sets)
    }

    fn canary_set(&mut self, subject: &Subject) -> Result<Option<QuerySet>, WindowError> {
        let Some(folder) = &self.config.canary else { return Ok(None) };
        let input = subject.generation.manifest.input;
        if self.canary.as_ref().is_none_or(|canary| canary.input != input) {
            self.canary = Some(Canary::load(folder, self.config.queries, input)?);
        }
        let set = |canary: &Canary| QuerySet { pictures: canary.pictures.clone(), labels: Some(canary.labels.clone()) };
        Ok(self.canary.as_ref().map(set))
    }

    fn live_set(&self, subject: &Subject, number: u64) -> Option<QuerySet> {
        let mut rng = self.stream("live sample", number);
        let sample = self.service.replay().sample(self.config.live_queries, &mut rng);
        // A picture that was searched by under a net of another size cannot be shown to this one.
        let fits = |pixels: &Arc<[f32]>| pixels.len() == subject.generation.manifest.input.len();
        let pictures: Vec<_> = sample.into_iter().filter(fits).map(|pixels| pixels.to_vec()).collect();
        (!pictures.is_empty()).then_some(QuerySet { pictures, labels: None })
    }

    fn attack_set(
        &self,
        subject: &Subject,
        (name, set, gauges): (SetName, &QuerySet, Gauges),
        window: &mut Window,
        started: Instant,
    ) -> Result<(), WindowError> {
        let paced = Paced::new(subject.generation.embedder.as_ref(), self.budget, &self.bell);
        let first_hit_is = |embedding: &[f32], label: &str| subject.first_hit_is(embedding, label);
        let attacker = Attacker {
            embedder: &paced,
            gallery: &subject.gallery,
            classes: &subject.classes,
            first_hit_is: &first_hit_is,
            pgd: self.pgd,
            batch: self.config.batch,
        };
        let recall_at_1 = attacker.benign_recall(set)?.map(|benign| Recall { benign, adversarial: None });
        let mut result = SetResult { queries: set.pictures.len(), recall_at_1, attacks: Vec::new() };
        for attack in self.attacks.iter().filter(|attack| set.labels.is_some() || !attack.needs_labels()) {
            let attack_started = Instant::now();
            let mut rng = self.stream(&format!("{} {}", name.as_str(), attack.name()), targets_of(name, window.number));
            let measured = attacker.attack(set, *attack, &mut rng)?;
            let attacked = measured.result(*attack, attack_started);
            publish::attack(&self.metrics, name, gauges, &measured, &attacked);
            result.attacks.push(attacked);
            self.show(window, name, &result, started);
        }
        result.recall_at_1 = result.recall_at_1.map(|recall| Recall { adversarial: lowest_recall(&result), ..recall });
        if let Some(recall) = result.recall_at_1 {
            publish::recall(&self.metrics, recall);
        }
        self.show(window, name, &result, started);
        Ok(())
    }

    /// Puts what is known of a set into the window, and the window on the board.
    fn show(&self, window: &mut Window, name: SetName, result: &SetResult, started: Instant) {
        let slot = match name {
            SetName::Canary => &mut window.canary,
            SetName::Live => &mut window.live,
        };
        *slot = Some(result.clone());
        window.duration_seconds = started.elapsed().as_secs_f64();
        self.board.progress(window);
    }

    /// A random stream for one purpose of one window, independent of all others.
    fn stream(&self, purpose: &str, number: u64) -> ChaCha8Rng {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.config.seed.to_le_bytes());
        for (place, byte) in seed[8..].iter_mut().zip(purpose.bytes()) {
            *place = byte;
        }
        let mut rng = ChaCha8Rng::from_seed(seed);
        rng.set_stream(number);
        rng
    }
}

/// The canary set meets the same draw of targets in every window, so that a change of its scores is a change of the net
/// or of the gallery; recent queries meet new ones.
fn targets_of(name: SetName, number: u64) -> u64 {
    match name {
        SetName::Canary => 0,
        SetName::Live => number,
    }
}

/// R@1 under the attack that hurts most.
fn lowest_recall(result: &SetResult) -> Option<f64> {
    result.attacks.iter().filter_map(|attack| attack.recall_at_1).min_by(f64::total_cmp)
}
