//! Fields whose value is one of some words. They are text, because upstream has a message of its own for other ones; the words
//! are for the schema.

use sluice_config::text_of_words;

text_of_words!(
    /// Of gRPC messages.
    GrpcCompression, "gzip", "snappy", "zstd", "none"
);

text_of_words!(
    /// Of HTTP bodies.
    HttpCompression, "gzip", "zstd", "zlib", "snappy", "x-snappy-framed", "deflate", "lz4", "none"
);

text_of_words!(
    /// How a client of several addresses chooses between them.
    Balancer, "round_robin", "pick_first"
);

text_of_words!(
    /// What happens to a condition that cannot be evaluated.
    ErrorMode, "ignore", "silent", "propagate"
);
