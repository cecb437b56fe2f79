//! A smaller run that fails, too: fewer things done by fewer clients, and fewer kinds of incidents.

use crate::incident::Incident;
use crate::{Failure, Options, run};

/// Runs that are played to find a smaller one, at most.
const RUNS_MAX: usize = 40;

/// Makes a run that fails smaller for as long as it fails, by whatever: the same fault may show in another way. Returns the failure of the
/// smallest run that was found, and how many were played.
pub fn shrink(failure: Box<Failure>) -> (Box<Failure>, usize) {
    let mut search = Search { smallest: failure, runs: 0 };
    while search.runs < RUNS_MAX {
        let before = search.smallest.options.clone();
        for candidate in candidates(&before) {
            search.try_out(candidate);
        }
        if search.smallest.options == before {
            break;
        }
    }
    (search.smallest, search.runs)
}

struct Search {
    smallest: Box<Failure>,
    runs: usize,
}

impl Search {
    fn try_out(&mut self, step: Step) {
        let Some(options) = step(&self.smallest.options) else { return };
        if self.runs == RUNS_MAX {
            return;
        }
        self.runs += 1;
        if let Err(failure) = run(&options) {
            self.smallest = failure;
        }
    }
}

/// Makes options smaller in one respect, if they can be.
type Step = Box<dyn Fn(&Options) -> Option<Options>>;

fn candidates(options: &Options) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for incident in Incident::ALL.into_iter().filter(|incident| !options.spared.contains(incident)) {
        steps.push(Box::new(move |options| {
            let mut spared = options.spared.clone();
            spared.push(incident);
            Some(Options { spared, ..options.clone() })
        }));
    }
    for part in [4, 2] {
        steps.push(Box::new(move |options| {
            let steps = options.steps.div_ceil(part);
            (steps < options.steps).then(|| Options { steps, ..options.clone() })
        }));
    }
    steps.push(Box::new(|options| {
        let clients = options.clients - 1;
        (clients > 0).then(|| Options { clients, ..options.clone() })
    }));
    steps.push(Box::new(|options| {
        let steps = options.steps - 1;
        (steps > 0).then(|| Options { steps, ..options.clone() })
    }));
    steps
}
