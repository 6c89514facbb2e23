//! Attacks, each as somebody would try it over HTTP, and what comes of them: nothing.

mod acidrain;
mod fields;
mod formulas;
mod guessing;
mod headers;
mod markup;
mod paths;
mod prices;
mod replays;
mod unicode;
