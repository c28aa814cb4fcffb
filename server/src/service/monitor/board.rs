//! What the monitor knows, shared between its thread, which writes, and the handlers that show it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::view::{Failure, MonitorState, Window};

/// The state of the monitor and its bounded history.
#[derive(Debug)]
pub(super) struct Board {
    capacity: usize,
    content: Mutex<Content>,
}

/// What the lock protects.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub state: MonitorState,
    pub detail: Option<String>,
    /// A window under way, until the first one is complete; afterwards the newest complete one.
    pub latest: Option<Window>,
    pub history: VecDeque<Window>,
    pub failures: u64,
    pub last_failure: Option<Failure>,
}

impl Board {
    /// A board that keeps the newest `capacity` complete windows.
    pub fn new(state: MonitorState, capacity: usize) -> Self {
        let content =
            Content { state, detail: None, latest: None, history: VecDeque::new(), failures: 0, last_failure: None };
        Self { capacity, content: Mutex::new(content) }
    }

    /// A copy of everything.
    pub fn read(&self) -> Content {
        self.lock().clone()
    }

    /// There is nothing to attack yet, because of `detail`.
    pub fn waiting(&self, detail: String) {
        let mut content = self.lock();
        content.state = if content.history.is_empty() { MonitorState::WarmingUp } else { MonitorState::Idle };
        content.detail = Some(detail);
    }

    /// A window is under way and has come this far. Shown only before the first complete one: later, a full picture of
    /// a minute ago tells more than half a picture of now.
    pub fn progress(&self, window: &Window) {
        let mut content = self.lock();
        content.state = MonitorState::Running;
        content.detail = None;
        if content.history.is_empty() {
            content.latest = Some(window.clone());
        }
    }

    /// A window is complete.
    pub fn complete(&self, window: Window) {
        let mut content = self.lock();
        content.state = MonitorState::Idle;
        content.detail = None;
        content.last_failure = None;
        content.latest = Some(window.clone());
        content.history.push_back(window);
        while content.history.len() > self.capacity {
            content.history.pop_front();
        }
    }

    /// A window ended before its time.
    pub fn failed(&self, time: Timestamp, detail: String) {
        let mut content = self.lock();
        content.state = if content.latest.is_some() { MonitorState::Idle } else { MonitorState::WarmingUp };
        content.detail = None;
        content.failures += 1;
        content.last_failure = Some(Failure { time, detail });
    }

    /// Every change is whole, so a panic elsewhere leaves nothing half-written.
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(number: u64) -> Window {
        Window {
            number,
            generation: "a".to_owned(),
            started: Timestamp::UNIX_EPOCH,
            duration_seconds: 1.0,
            complete: false,
            gallery: 100,
            canary: None,
            live: None,
        }
    }

    fn numbers(board: &Board) -> Vec<u64> {
        board.read().history.iter().map(|window| window.number).collect()
    }

    #[test]
    fn the_history_keeps_the_newest_windows() {
        let board = Board::new(MonitorState::WarmingUp, 2);

        (1..=3).for_each(|number| board.complete(window(number)));

        assert_eq!(numbers(&board), [2, 3]);
    }

    #[test]
    fn a_partial_result_is_shown_only_before_the_first_complete_one() {
        let board = Board::new(MonitorState::WarmingUp, 2);
        let shown = |board: &Board| board.read().latest.map(|window| window.number);

        board.progress(&window(1));
        assert_eq!(shown(&board), Some(1));

        board.complete(window(1));
        board.progress(&window(2));
        assert_eq!((shown(&board), board.read().state), (Some(1), MonitorState::Running));
    }

    #[test]
    fn a_failure_is_counted_and_told_until_a_window_completes() {
        let board = Board::new(MonitorState::WarmingUp, 2);

        board.failed(Timestamp::UNIX_EPOCH, "no canary".to_owned());
        assert_eq!(board.read().last_failure.unwrap().detail, "no canary");
        assert_eq!(board.read().state, MonitorState::WarmingUp);

        board.complete(window(2));
        assert_eq!((board.read().failures, board.read().last_failure), (1, None));
    }

    #[test]
    fn a_wait_before_the_first_window_is_warming_up_and_says_for_what() {
        let board = Board::new(MonitorState::WarmingUp, 2);

        board.waiting("waiting for gallery".to_owned());

        let content = board.read();
        assert_eq!((content.state, content.detail.as_deref()), (MonitorState::WarmingUp, Some("waiting for gallery")));
    }
}
