// SPDX-License-Identifier: Apache-2.0
// Owns what is dropped from a segment, writing the rest, and the exchange of the files.
#include "storage/qmdb/segment_rewriter.hpp"

#include <algorithm>
#include <cstring>

#include "storage/detail/header_crc.hpp"
#include "storage/qmdb/detail/chunk_nodes.hpp"
#include "storage/qmdb/detail/log_damage.hpp"
#include "storage/qmdb/detail/segment_source.hpp"
#include "storage/qmdb/detail/state_reader.hpp"
#include "storage/qmdb/segment_name.hpp"

namespace millrace::storage::qmdb {
namespace {

using detail::SegmentSource;

constexpr size_t piece_bytes = size_t{1} << 20;
/// Written data is flushed so often, so that the flush of a commit never waits for much of it.
constexpr uint64_t flush_bytes = uint64_t{8} << 20;

class Rewriter {
public:
    Rewriter(FileSystem& fs, const std::string& directory, const RewritePlan& plan,
             const RewriteOptions& options)
        : fs_(fs),
          directory_(directory),
          path_(join_path(directory, segment_name(plan.number))),
          temporary_(join_path(directory, rewrite_name)),
          plan_(plan),
          options_(options) {}

    Result<RewriteResult> run() {
        MILLRACE_TRY(SegmentSource source,
                     SegmentSource::open(fs_, path_, plan_.number, options_.map));
        auto written = write(source);
        if (written) { written = publish(source); }
        if (!written) {
            MILLRACE_CHECK(source.status());
            // Without it there is more room; a start removes it too.
            if (written.error().code != ErrorCode::io) { (void)fs_.remove(temporary_); }
            return std::unexpected(written.error());
        }
        return RewriteResult{std::move(file_), source.bytes(), header_.file_bytes};
    }

private:
    Result<void> check_stop() const {
        if (options_.stopping && options_.stopping()) {
            return fail(ErrorCode::unavailable, "the rewriting of a segment was ended");
        }
        return {};
    }

    Result<void> write(SegmentSource& source) {
        MILLRACE_TRY(out_, fs_.open(temporary_, OpenMode::create_or_wipe));
        at_ = frame_alignment_bytes;
        Bytes raw;
        for (unsigned shard = 0; shard < shard_count; ++shard) {
            header_.first_serial[shard] = source.first_serial(shard);
            header_.entry_count[shard] = source.end_serial(shard) - source.first_serial(shard);
            for (source.begin(shard); !source.at_end();) {
                MILLRACE_TRY(const ChunkBlock old, source.next());
                MILLRACE_TRY(const ChunkBlock block, drop(shard, old));
                raw.clear();
                encode_chunk_block(block, raw);
                MILLRACE_CHECK(encoder_.encode(header_.block_count++, raw, pending_));
                header_.kept_count += block.records.size();
                if (pending_.size() >= piece_bytes) { MILLRACE_CHECK(flush_pending()); }
            }
        }
        raw.clear();
        for (const RewrittenFrame& frame : source.frames()) {
            encode_frame(frame, raw);
            if (raw.size() > frames_bytes_max) {
                return fail(ErrorCode::unavailable, "a segment has more frames and removals than "
                                                    "one that is rewritten may have");
            }
        }
        MILLRACE_CHECK(encoder_.encode(header_.block_count, raw, pending_));
        MILLRACE_CHECK(flush_pending());
        header_.frame_count = static_cast<uint32_t>(source.frames().size());
        header_.horizon_height = std::max(plan_.horizon_height, source.horizon_height());
        header_.file_bytes = at_;
        header_.header_crc = storage::detail::crc_of(header_);
        SegmentHeader segment = source.header();
        segment.form = rewritten_form;
        Bytes head(frame_alignment_bytes);
        write_segment_header(segment, head.data());
        std::memcpy(head.data() + sizeof segment, &header_, sizeof header_);
        return out_->write_at(0, head);
    }

    Result<void> flush_pending() {
        MILLRACE_CHECK(out_->write_at(at_, pending_));
        at_ += pending_.size();
        unflushed_ += pending_.size();
        MILLRACE_CHECK(check_stop());
        pending_.clear();
        if (unflushed_ >= flush_bytes) {
            unflushed_ = 0;
            MILLRACE_CHECK(out_->sync_data());
        }
        return {};
    }

    bool drops(unsigned shard, uint64_t serial) const noexcept {
        return options_.mutant == RewriteMutant::drop_live ? serial % 16 == 5
                                                           : !plan_.keeps(shard, serial);
    }

    /// The chunk without what the plan drops.
    Result<ChunkBlock> drop(unsigned shard, const ChunkBlock& old) {
        ChunkBlock out;
        out.range = old.range;
        out.root = old.root;
        messages_.clear();
        places_.clear();
        size_t record = 0;
        size_t distance = 0;
        for (uint64_t serial = old.range.first; serial < old.range.end; ++serial) {
            if (!old.is_kept(serial)) {
                out.distances.push_back(old.distances[distance++]);
                continue;
            }
            const ByteView kept = old.records[record++];
            messages_.push_back(kept.subspan(sizeof(uint32_t)));
            places_.push_back(
                static_cast<uint16_t>(kernels::tree_leaf(chunk_height, serial % chunk_entries)));
            if (drops(shard, serial)) {
                MILLRACE_TRY(const DecodedEntry entry, decode_record(kept));
                out.distances.push_back(entry.entry.previous_distance);
            } else {
                out.records.push_back(kept);
                out.kept[serial % chunk_entries / 8] |= static_cast<uint8_t>(1u << (serial % 8));
            }
        }
        out.places = dropped_nodes(out.range, out.kept);
        if (messages_.empty()) {
            out.nodes = old.nodes;
            return out;
        }
        // The tree has no such chunk any more.
        if (out.places.empty() && out.records.empty()) { return out; }
        MILLRACE_CHECK(hash(old));
        for (const uint16_t place : out.places) { out.nodes.push_back(nodes_[place]); }
        return out;
    }

    /// Fills nodes_ with all that the old chunk gives, and compares the root.
    Result<void> hash(const ChunkBlock& old) {
        known_.reset();
        for (size_t i = 0; i < old.places.size(); ++i) {
            nodes_[old.places[i]] = old.nodes[i];
            known_.set(old.places[i]);
        }
        digests_.resize(messages_.size());
        MILLRACE_CHECK(detail::hash_leaves(options_.hash, options_.backend, messages_, digests_));
        for (size_t i = 0; i < places_.size(); ++i) {
            nodes_[places_[i]] = digests_[i];
            known_.set(places_[i]);
        }
        MILLRACE_CHECK(detail::hash_known_nodes(options_.hash, options_.backend, nodes_, known_));
        if (old.root && known_.test(1) && nodes_[1] != *old.root) {
            return detail::damaged_log(path_, 0,
                                       "entries " + std::to_string(old.range.first) + " to " +
                                           std::to_string(old.range.end - 1) +
                                           " of a shard do not have the root that they had");
        }
        return {};
    }

    /// Compares what lies on the disk now with what was there before.
    Result<void> compare(SegmentSource& source, const RewrittenSegment& now,
                         const SegmentFile& file) {
        const auto differs = [&](uint64_t serial) {
            return fail(ErrorCode::internal, "the rewritten form of " + path_ +
                                                 " is not right for entry " +
                                                 std::to_string(serial) + "; it was given up");
        };
        BlockBuffer buffer;
        for (unsigned shard = 0; shard < shard_count; ++shard) {
            MILLRACE_CHECK(check_stop());
            for (source.begin(shard); !source.at_end();) {
                MILLRACE_TRY(const ChunkBlock old, source.next());
                MILLRACE_TRY(const ChunkBlock block,
                             now.chunk(file, shard, old.range.first / chunk_entries, buffer));
                if (block.root != old.root) { return differs(old.range.first); }
                size_t record = 0, old_record = 0, distance = 0, old_distance = 0;
                for (uint64_t s = old.range.first; s < old.range.end; ++s) {
                    const bool was = old.is_kept(s);
                    const bool is = block.is_kept(s);
                    if (is != (was && plan_.keeps(shard, s))) { return differs(s); }
                    const ByteView before = was ? old.records[old_record++] : ByteView{};
                    if (is) {
                        if (!std::ranges::equal(before, block.records[record++])) {
                            return differs(s);
                        }
                        continue;
                    }
                    uint64_t expected = 0;
                    if (was) {
                        MILLRACE_TRY(const DecodedEntry entry, decode_record(before));
                        expected = entry.entry.previous_distance;
                    } else {
                        expected = old.distances[old_distance++];
                    }
                    if (block.distances[distance++] != expected) { return differs(s); }
                }
            }
        }
        return {};
    }

    Result<void> publish(SegmentSource& source) {
        const bool early = options_.mutant == RewriteMutant::rename_before_sync;
        if (!early) { MILLRACE_CHECK(out_->sync_data()); }
        out_.reset();
        std::unique_ptr<const RewrittenSegment> rewritten;
        {
            MILLRACE_TRY(const auto file, open(temporary_, ReadOrder::sequential));
            MILLRACE_TRY(rewritten, RewrittenSegment::open(*file));
            if (options_.mutant != RewriteMutant::drop_live) {
                MILLRACE_CHECK(compare(source, *rewritten, *file));
            }
            if (file->failed()) { return detail::unreadable_log(temporary_); }
        }
        MILLRACE_CHECK(source.status());
        MILLRACE_CHECK(check_stop());
        MILLRACE_CHECK(fs_.rename(temporary_, path_));
        MILLRACE_CHECK(fs_.sync_directory(directory_));
        MILLRACE_TRY(file_, open(path_, ReadOrder::random));
        file_->set_rewritten(std::move(rewritten));
        return {};
    }

    Result<std::shared_ptr<SegmentFile>> open(const std::string& path, ReadOrder order) const {
        MILLRACE_TRY(auto file, fs_.open(path, OpenMode::read));
        MILLRACE_TRY(const uint64_t bytes, file->size());
        MILLRACE_TRY(auto out, SegmentFile::open(std::move(file), bytes, options_.map, order));
        return std::make_shared<SegmentFile>(std::move(out));
    }

    FileSystem& fs_;
    const std::string directory_;
    const std::string path_;
    const std::string temporary_;
    const RewritePlan& plan_;
    const RewriteOptions& options_;
    BlockEncoder encoder_;
    std::unique_ptr<File> out_;
    std::shared_ptr<SegmentFile> file_;
    RewrittenHeader header_;
    Bytes pending_;
    uint64_t at_ = 0;
    uint64_t unflushed_ = 0;

    // Of the chunk at hand.
    std::vector<ByteView> messages_;
    std::vector<uint16_t> places_;  ///< of the messages' leaves
    std::vector<Hash256> digests_;
    detail::ChunkNodes nodes_;
    detail::KnownNodes known_;
};

}  // namespace

Result<RewriteResult> rewrite_segment(FileSystem& fs, const std::string& directory,
                                      const RewritePlan& plan, const RewriteOptions& options) {
    return Rewriter{fs, directory, plan, options}.run();
}

}  // namespace millrace::storage::qmdb
