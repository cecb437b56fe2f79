//! Histograms, top-N, sketches, sampling and cardinality estimation.
