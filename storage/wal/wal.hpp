// SPDX-License-Identifier: Apache-2.0
// Owns the write-ahead log: the authority from which everything else is rebuilt.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "storage/io/file_system.hpp"
#include "storage/io/log_writer.hpp"
#include "storage/wal/record.hpp"

namespace millrace::storage {

/// Deliberate faults that the crash tests must catch; never set outside tests.
enum class WalMutant : uint8_t { none, no_flush, no_checksum, truncate_in_middle };

struct WalOptions {
    uint64_t chain_id = 0;
    uint64_t segment_bytes = uint64_t{64} << 20;
    /// Longest payload; at most segment_bytes less three blocks of 4 KiB.
    uint64_t record_bytes_max = uint64_t{32} << 20;
    /// Sequence number of the checkpoint that the node starts from: the log must begin at or below
    /// the record after it and reach it, else the start is refused. 0 without a checkpoint.
    uint64_t checkpoint_sequence = 0;
    /// Random identity for a log that has to be created; 0 draws one.
    uint64_t log_id = 0;
    WalMutant mutant = WalMutant::none;
};

/// What opening found.
struct WalRecovery {
    bool created = false;
    uint64_t first_sequence = 1;  ///< of the oldest record still there
    uint64_t last_sequence = 0;   ///< 0 for an empty log
    uint64_t last_epoch = 0;
    uint64_t generation = 1;
    uint64_t segment_count = 0;
    /// Bytes after the last whole record that were cleared, with the place; 0 and empty when the
    /// end was clean. These were never acknowledged. Say so in the log.
    uint64_t torn_bytes = 0;
    std::string torn_place;
};

struct RecordInfo {
    uint64_t sequence = 0;
    uint64_t epoch = 0;
    RecordKind kind = RecordKind::block_open;
};

enum class FlushMode : uint8_t {
    durable,  ///< one flush; what was appended survives power loss
    written,  ///< handed to the system only; survives the process, not the machine
};

/// Append-only segments of frames. append() and flush() belong to one thread; replay(),
/// prune_below() and prepare_segment() may run beside them on others.
///
/// A failed write or sync is final: flush() returns `ErrorCode::io`, and so does every later call.
/// The node stops with the documented exit code; nothing after the last success was acknowledged.
/// A full disk is not: flush() returns `ErrorCode::limit`, keeps what was appended, and can be
/// repeated once there is room.
class Wal {
public:
    /// Opens or creates the log in `directory`. Every frame is verified: checksums, sequence, chain
    /// and epoch. An invalid end with nothing valid after it was being written when the machine
    /// stopped: it is cleared, durably, before anything can be appended. Damage before a later
    /// valid frame is a loss of acknowledged data: `ErrorCode::corrupt`, nothing is changed, and
    /// the message names the file, the offset and the remedy. Frames of one group (appended between
    /// two flushes) may reach the disk in any order; one of them counts as damaged, not as torn,
    /// when no sector of it is missing.
    static Result<std::unique_ptr<Wal>> open(FileSystem& fs, const std::string& directory,
                                             const WalOptions& options,
                                             std::unique_ptr<LogWriter> writer);
    virtual ~Wal() = default;

    virtual const WalRecovery& recovery() const noexcept = 0;
    virtual const LogWriter& writer() const noexcept = 0;

    /// Takes a record into the pending group; returns its sequence number. `ErrorCode::limit` when
    /// it is too long or the group is full (flush first), `ErrorCode::conflict` when `epoch` is
    /// below that of an earlier record.
    virtual Result<uint64_t> append(uint64_t epoch, const Record& record) = 0;
    virtual Result<uint64_t> append(uint64_t epoch, RecordKind kind, ByteView payload) = 0;
    /// Writes the pending group; returns the sequence number up to which the log is durable (or,
    /// with FlushMode::written, written).
    virtual Result<uint64_t> flush(FlushMode mode = FlushMode::durable) = 0;

    virtual uint64_t last_sequence() const noexcept = 0;     ///< appended; writer thread only
    virtual uint64_t durable_sequence() const noexcept = 0;  ///< flushed; any thread
    virtual uint64_t first_sequence() const noexcept = 0;    ///< oldest kept; any thread

    /// Calls `visit` for the written records from `from_sequence` on, in order. Stops at and
    /// returns the first error. Payload views live until `visit` returns.
    virtual Result<void>
    replay(uint64_t from_sequence,
           const std::function<Result<void>(const RecordInfo&, ByteView payload)>& visit) const = 0;
    /// Removes segments all of whose records are below `sequence`; returns how many.
    virtual Result<size_t> prune_below(uint64_t sequence) = 0;
    /// Creates and zero-fills the next segment ahead of time, so that neither the change of
    /// segment nor the first write to it waits for allocation. Does nothing when it is ready.
    virtual Result<void> prepare_segment() = 0;
};

}  // namespace millrace::storage
