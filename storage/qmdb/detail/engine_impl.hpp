// SPDX-License-Identifier: Apache-2.0
// Owns the parts of the engine and what its operations share.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "storage/qmdb/block_frame.hpp"
#include "storage/qmdb/detail/block_list.hpp"
#include "storage/qmdb/detail/entry_reader.hpp"
#include "storage/qmdb/detail/file_care_thread.hpp"
#include "storage/qmdb/detail/snapshot_impl.hpp"
#include "storage/qmdb/detail/state_reader.hpp"
#include "storage/qmdb/engine.hpp"
#include "storage/qmdb/entry_directory.hpp"
#include "storage/qmdb/key_index.hpp"
#include "storage/qmdb/twig_forest.hpp"

namespace millrace::storage::qmdb::detail {

class EngineImpl final : public Engine {
public:
    explicit EngineImpl(const EngineOptions& options);
    ~EngineImpl() override;

    /// Opens the log and rebuilds everything from it (recovery.cpp).
    Result<void> start(FileSystem& fs, const std::string& directory,
                       std::unique_ptr<LogWriter> writer);

    const EntryLogRecovery& recovery() const noexcept override { return log_->recovery(); }
    Result<Hash256> apply(uint64_t height, std::span<const StateWrite> writes) override;
    Result<void> commit() override;
    uint64_t writes_max() const noexcept override;
    Result<std::optional<Bytes>> get(const Hash256& key) override;
    Result<StateProof> prove(const Hash256& key) override;
    Result<StateMultiproof> prove(std::span<const Hash256> keys) override;
    const Hash256& root() const noexcept override { return root_; }
    uint64_t height() const noexcept override { return height_; }
    Result<std::shared_ptr<const StateSnapshot>> snapshot() override;
    Result<void> rollback(uint64_t height) override;
    uint64_t oldest_height() const noexcept override;
    Result<std::optional<Bytes>> get_at(const Hash256& key, uint64_t height) override;
    Result<Hash256> root_at(uint64_t height) const override;
    Result<uint64_t> verify_chunks() override;
    Result<size_t> prune() override;
    EngineStats stats() const noexcept override;

private:
    enum class Change : uint8_t {
        none,    ///< the write changes nothing
        update,  ///< a live key gets another value
        create,
        erase,
        link,  ///< a live key that is not written may get another successor
    };
    /// What a block does to one key. Sorted by key; every created and erased one has its
    /// predecessor before it.
    struct Item {
        Change change = Change::none;
        Hash256 key;
        uint64_t serial = 0;  ///< of the live entry; not for create
        KeyLink old_next;     ///< of the live entry
        KeyLink next;
        ByteView value;  ///< after the block
    };
    /// A write in a group whose reads are on their way together.
    struct Lookup {
        const StateWrite* write = nullptr;
        Change change = Change::none;
        uint64_t serial = 0;
        StateEntry entry;
        uint64_t predecessor = 0;
    };

    // block_apply.cpp
    Result<void> check(uint64_t height, std::span<const StateWrite> writes) const;
    Result<void> apply_checked(std::span<const StateWrite> writes);
    Result<void> apply_shard(unsigned shard, std::span<const StateWrite> writes);
    Result<void> plan(unsigned shard, std::span<const StateWrite> writes);
    void prefetch(unsigned shard, std::span<const StateWrite> writes) const noexcept;
    Result<void> look_up(unsigned shard, std::span<const StateWrite> writes);
    Result<void> add_items(unsigned shard);
    void link() noexcept;
    Result<void> emit(unsigned shard);
    Result<void> append(unsigned shard, const Item& item);
    Result<void> compact(unsigned shard);
    Result<void> rehash();

    // rollback.cpp
    Result<void> take_back(size_t count);
    Result<void> undo(ByteView payload);
    Result<void> undo_section(unsigned shard, const Section& section);
    Result<void> revive(unsigned shard, uint64_t serial);
    Result<void> cut_log();

    // snapshot.cpp
    void release_snapshots();
    void set_epochs();
    void revoke_snapshots(uint64_t height) noexcept;

    // rewrites.cpp
    Result<void> care_for_files();
    Result<void> end_task();
    Result<bool> begin_task();
    void forget_plans_above(uint64_t height) noexcept;

    // recovery.cpp
    Result<void> replay(const FrameHeader& header, LogPosition payload_at, ByteView payload);
    Result<void> replay_rewritten(const EntryLog::RewrittenVisit& visit);
    Result<void> replay_rewritten_shard(unsigned shard, const EntryLog::RewrittenVisit& visit);
    void begin_shard(unsigned shard, uint64_t first_serial);
    Result<void> replay_section(unsigned shard, uint64_t height, const Section& section);
    Result<void> retire_logged(unsigned shard, uint64_t serial);
    Result<void> rebuild_tree(unsigned shard);
    Result<void> rebuild_open_chunk(unsigned shard, uint64_t first, uint64_t count);
    Result<void> rebuild_indexes();
    Result<void> rebuild_index(unsigned shard);
    struct LiveKeys {
        std::vector<KeyIndex::Loaded> keys;
        uint64_t record_bytes = 0;
    };
    Result<LiveKeys> live_keys(unsigned shard) const;
    Result<void> live_keys_of_rewritten(unsigned shard, uint64_t first, uint64_t count,
                                        EntryReader& reader, LiveKeys& out) const;

    /// The sequence number of the oldest frame with an entry of the state after the applied block.
    uint64_t oldest_sequence() noexcept;
    uint64_t widen(unsigned shard, uint32_t serial) const noexcept {
        return detail::widen(forest_.serial_count(shard), serial);
    }
    StateReader state_reader();
    std::string describe_chunk(unsigned shard, uint64_t chunk) const;
    std::unexpected<Error> stop(Error error);

    const EngineOptions options_;
    std::unique_ptr<EntryLog> log_;
    EntryDirectory directory_;
    BlockFrameBuilder frame_;
    std::optional<EntryReader> reader_;
    TwigForest forest_;
    std::array<std::unique_ptr<KeyIndex>, shard_count> indexes_;
    std::array<uint64_t, shard_count> first_serial_{};  ///< of the log when it was opened

    BlockList list_;
    Epochs epochs_;
    std::vector<std::shared_ptr<Pin>> pins_;  ///< of snapshots that are held, oldest first
    std::weak_ptr<const StateSnapshot> last_snapshot_;
    bool cut_waits_ = false;  ///< blocks were taken back and the log is not cut yet

    std::unique_ptr<FileCareThread> care_;       ///< null when nothing is to be done
    std::deque<RewritePlan> plans_;              ///< wait for the history window to have passed
    uint64_t plans_height_ = 0;                  ///< of the state that they were made from
    std::optional<uint64_t> look_height_;        ///< of the state that is being looked at
    uint64_t look_from_ = 0;                     ///< segment
    uint64_t looked_until_ = 0;                  ///< the last segment when that was last done
    std::optional<uint64_t> rewritten_segment_;  ///< that is being rewritten

    uint64_t height_ = 0;
    Hash256 root_;
    bool waits_ = false;  ///< the frame is to be committed
    std::optional<Error> failed_;
    uint64_t compacted_ = 0;
    uint64_t relinked_ = 0;
    std::array<uint64_t, shard_count> opened_live_bytes_{};

    // Scratch memory of apply().
    std::vector<Lookup> lookups_;
    std::vector<Item> items_;
    std::optional<uint64_t> last_live_;  ///< serial number of the last item that had one
    std::vector<ByteView> messages_;
    std::vector<Hash256> leaves_;
    std::vector<std::pair<unsigned, uint64_t>> revived_chunks_;  ///< shard and chunk, by rollback()
    /// Of the full chunks of the log that is opened, from first_serial_ on.
    std::array<std::vector<Hash256>, shard_count> chunk_roots_;
};

}  // namespace millrace::storage::qmdb::detail
