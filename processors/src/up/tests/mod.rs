mod matching;
mod scenarios;
mod world;
