//! Processes, remembered past their exit.
