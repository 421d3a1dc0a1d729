//! What is written down for people agrees with the code: the pages of reference, and the
//! renderings that are committed. A row too many fails like one too few.

mod compose;
mod configuration;
mod contract;
mod features;
mod floors;
mod identity;
mod istio;
mod lengths;
mod links;
mod lints;
mod lists;
mod memory;
mod metrics;
mod page;
mod printed;
mod providers;
mod rendered;
mod schemas;
mod structural;
mod tables;
