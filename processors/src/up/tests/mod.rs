mod laws;
mod matching;
mod scenarios;
mod world;
