// SPDX-License-Identifier: Apache-2.0
// Owns the checkpoint file: a header with the metadata, compressed parts of the state, and an end
// mark, each with its checksum.
#include "storage/state/checkpoint.hpp"

#include <algorithm>
#include <memory>

#include <zstd.h>

#include "storage/detail/codec.hpp"
#include "storage/io/crc32c.hpp"

namespace millrace::storage {
namespace {

constexpr std::string_view file_magic = "MRCKPT";
constexpr uint16_t file_format = 2;
constexpr std::string_view name_prefix = "checkpoint-";
constexpr std::string_view temporary_suffix = ".tmp";
constexpr size_t sequence_digits = 20;
constexpr int compression_level = 1;
constexpr uint32_t raw_bytes_max = uint32_t{1} << 30;
constexpr uint32_t stored_bytes_max = uint32_t{1} << 30;
constexpr uint8_t chunk_part = 1;
constexpr uint8_t chunk_end = 2;
/// magic, format, seven fields of metadata, checksum
constexpr size_t file_header_bytes = 6 + 2 + 4 * 8 + 3 * 32 + 4;
/// kind, index, stored length, raw length, checksum of these and of the stored bytes
constexpr size_t chunk_header_bytes = 1 + 8 + 4 + 4 + 4;

std::string name_of(uint64_t sequence) {
    std::string digits = std::to_string(sequence);
    digits.insert(0, sequence_digits - digits.size(), '0');
    return std::string{name_prefix} + digits;
}

/// Sequence numbers of the checkpoint files, ascending.
Result<std::vector<uint64_t>> list_checkpoints(FileSystem& fs, const std::string& directory) {
    std::vector<uint64_t> found;
    MILLRACE_TRY(const bool there, fs.exists(directory));
    if (!there) { return found; }
    MILLRACE_TRY(const auto names, fs.list(directory));
    for (const std::string& name : names) {
        if (!name.starts_with(name_prefix) || name.size() != name_prefix.size() + sequence_digits) {
            continue;
        }
        const std::string digits = name.substr(name_prefix.size());
        if (digits.find_first_not_of("0123456789") != std::string::npos) { continue; }
        uint64_t sequence = 0;
        for (const char c : digits) { sequence = sequence * 10 + static_cast<uint64_t>(c - '0'); }
        found.push_back(sequence);
    }
    std::sort(found.begin(), found.end());
    return found;
}

Bytes encode_file_header(const CheckpointMetadata& m) {
    Bytes out;
    detail::Writer w{out};
    w.raw(as_bytes(file_magic));
    w.u16(file_format);
    w.u64(m.sequence);
    w.u64(m.mini_block_number);
    w.fixed(m.mini_block_digest);
    w.u64(m.block_number);
    w.fixed(m.block_hash);
    w.fixed(m.state_root);
    w.u64(m.epoch);
    w.u32(crc32c(out));
    return out;
}

Result<CheckpointMetadata> decode_file_header(ByteView data) {
    detail::Reader r{data, "checkpoint header"};
    MILLRACE_TRY(const ByteView magic, r.raw(file_magic.size()));
    MILLRACE_TRY(const uint16_t format, r.u16());
    if (!std::ranges::equal(magic, as_bytes(file_magic))) { return r.bad("not a checkpoint file"); }
    if (format != file_format) {
        return r.bad("format " + std::to_string(format) + " is not known to this version");
    }
    CheckpointMetadata m;
    MILLRACE_TRY(m.sequence, r.u64());
    MILLRACE_TRY(m.mini_block_number, r.u64());
    MILLRACE_TRY(m.mini_block_digest, r.hash());
    MILLRACE_TRY(m.block_number, r.u64());
    MILLRACE_TRY(m.block_hash, r.hash());
    MILLRACE_TRY(m.state_root, r.hash());
    MILLRACE_TRY(m.epoch, r.u64());
    MILLRACE_TRY(const uint32_t crc, r.u32());
    if (crc != crc32c(data.first(data.size() - sizeof crc))) {
        return r.bad("checksum does not match");
    }
    return m;
}

class Compressor {
public:
    Compressor() : context_(ZSTD_createCCtx(), &ZSTD_freeCCtx) {}

    Result<Bytes> operator()(ByteView raw) {
        Bytes out(ZSTD_compressBound(raw.size()));
        const size_t n = ZSTD_compressCCtx(context_.get(), out.data(), out.size(), raw.data(),
                                           raw.size(), compression_level);
        if (ZSTD_isError(n) != 0) {
            return fail(ErrorCode::internal,
                        std::string{"cannot compress a checkpoint: "} + ZSTD_getErrorName(n));
        }
        out.resize(n);
        return out;
    }

private:
    std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context_;
};

/// Appends chunks to a file.
class ChunkWriter {
public:
    ChunkWriter(File& file, uint64_t offset) : file_(file), offset_(offset) {}

    Result<void> write(uint8_t kind, ByteView raw) {
        if (raw.size() > raw_bytes_max) {
            return fail(ErrorCode::limit, "a part of the checkpoint has " +
                                              std::to_string(raw.size()) + " bytes, at most " +
                                              std::to_string(raw_bytes_max) + " are allowed");
        }
        MILLRACE_TRY(const Bytes stored, compress_(raw));
        Bytes head;
        detail::Writer w{head};
        w.u8(kind);
        w.u64(index_++);
        w.count(stored.size());
        w.count(raw.size());
        w.u32(crc32c(stored, crc32c(head)));
        MILLRACE_CHECK(file_.write_at(offset_, head));
        MILLRACE_CHECK(file_.write_at(offset_ + head.size(), stored));
        offset_ += head.size() + stored.size();
        return {};
    }

private:
    File& file_;
    uint64_t offset_;
    uint64_t index_ = 0;
    Compressor compress_;
};

struct Chunk {
    uint8_t kind = 0;
    Bytes raw;
};

/// Reads and checks chunks one after the other.
class ChunkReader {
public:
    ChunkReader(const File& file, uint64_t offset, uint64_t file_bytes)
        : file_(file), offset_(offset), file_bytes_(file_bytes) {}

    uint64_t offset() const noexcept { return offset_; }

    Result<Chunk> next() {
        Bytes head(chunk_header_bytes);
        MILLRACE_CHECK(read_exactly(head));
        detail::Reader r{head, "checkpoint chunk"};
        Chunk c;
        MILLRACE_TRY(c.kind, r.u8());
        MILLRACE_TRY(const uint64_t index, r.u64());
        MILLRACE_TRY(const uint32_t stored_bytes, r.u32());
        MILLRACE_TRY(const uint32_t raw_bytes, r.u32());
        MILLRACE_TRY(const uint32_t crc, r.u32());
        if (index != index_++ || stored_bytes > stored_bytes_max || raw_bytes > raw_bytes_max ||
            stored_bytes > file_bytes_ - offset_) {
            return r.bad("implausible header");
        }
        Bytes stored(stored_bytes);
        MILLRACE_CHECK(read_exactly(stored));
        if (crc != crc32c(stored, crc32c(ByteView{head}.first(head.size() - sizeof crc)))) {
            return r.bad("checksum does not match");
        }
        c.raw.resize(raw_bytes);
        const size_t n = ZSTD_decompress(c.raw.data(), c.raw.size(), stored.data(), stored.size());
        if (ZSTD_isError(n) != 0 || n != raw_bytes) { return r.bad("cannot be decompressed"); }
        return c;
    }

private:
    Result<void> read_exactly(std::span<uint8_t> into) {
        MILLRACE_TRY(const size_t n, file_.read_at(offset_, into));
        if (n != into.size()) { return fail(ErrorCode::invalid_input, "the file ends too early"); }
        offset_ += n;
        return {};
    }

    const File& file_;
    uint64_t offset_;
    uint64_t file_bytes_;
    uint64_t index_ = 0;
};

/// Goes through a whole file; `visit` gets the decoded parts (may be null: only checks).
Result<CheckpointMetadata>
read_checkpoint(FileSystem& fs, const std::string& path,
                const std::function<Result<void>(const StateDelta&)>& visit) {
    MILLRACE_TRY(const auto file, fs.open(path, OpenMode::read));
    MILLRACE_TRY(const uint64_t file_bytes, file->size());
    Bytes head(file_header_bytes);
    MILLRACE_TRY(const size_t got, file->read_at(0, head));
    MILLRACE_TRY(const CheckpointMetadata metadata, decode_file_header({head.data(), got}));
    ChunkReader chunks{*file, file_header_bytes, file_bytes};
    uint64_t parts = 0;
    while (true) {
        MILLRACE_TRY(const Chunk chunk, chunks.next());
        if (chunk.kind == chunk_part) {
            MILLRACE_TRY(const StateDelta part, decode_state_delta(chunk.raw));
            ++parts;
            if (visit) { MILLRACE_CHECK(visit(part)); }
            continue;
        }
        detail::Reader r{chunk.raw, "checkpoint end"};
        MILLRACE_TRY(const uint64_t parts_expected, r.u64());
        MILLRACE_CHECK(r.end());
        if (chunk.kind != chunk_end || parts != parts_expected || chunks.offset() != file_bytes) {
            return r.bad("does not fit the parts before it");
        }
        return metadata;
    }
}

Result<void> write_file(FileSystem& fs, const std::string& path, const StateSnapshot& snapshot,
                        const CheckpointMetadata& metadata) {
    MILLRACE_TRY(const auto file, fs.open(path, OpenMode::create_or_wipe));
    MILLRACE_CHECK(file->write_at(0, encode_file_header(metadata)));
    ChunkWriter chunks{*file, file_header_bytes};
    uint64_t parts = 0;
    Bytes raw;
    MILLRACE_CHECK(snapshot.for_each_part([&](const StateDelta& part) -> Result<void> {
        raw.clear();
        encode_state_delta(part, raw);
        ++parts;
        return chunks.write(chunk_part, raw);
    }));
    raw.clear();
    detail::Writer{raw}.u64(parts);
    MILLRACE_CHECK(chunks.write(chunk_end, raw));
    return file->sync_data();
}

}  // namespace

Result<void> write_checkpoint(FileSystem& fs, const std::string& directory,
                              const StateSnapshot& snapshot, const CheckpointMetadata& metadata) {
    if (snapshot.version() != metadata.sequence) {
        return fail(ErrorCode::invalid_input,
                    "a checkpoint of record " + std::to_string(metadata.sequence) +
                        " cannot be made from state version " + std::to_string(snapshot.version()));
    }
    MILLRACE_CHECK(fs.create_directory(directory));
    const std::string path = join_path(directory, name_of(metadata.sequence));
    const std::string temporary = path + std::string{temporary_suffix};
    if (auto written = write_file(fs, temporary, snapshot, metadata); !written) {
        // The first error is the one to tell; space is given back as far as possible.
        static_cast<void>(fs.remove(temporary));
        return written;
    }
    MILLRACE_CHECK(fs.rename(temporary, path));
    MILLRACE_CHECK(fs.sync_directory(directory));
    MILLRACE_TRY(const auto sequences, list_checkpoints(fs, directory));
    for (size_t i = 0; i + checkpoints_kept < sequences.size(); ++i) {
        MILLRACE_CHECK(fs.remove(join_path(directory, name_of(sequences[i]))));
    }
    MILLRACE_TRY(const auto names, fs.list(directory));
    for (const std::string& name : names) {
        if (name.starts_with(name_prefix) && name.ends_with(temporary_suffix)) {
            MILLRACE_CHECK(fs.remove(join_path(directory, name)));
        }
    }
    return fs.sync_directory(directory);
}

Result<std::vector<InspectedCheckpoint>> inspect_checkpoints(FileSystem& fs,
                                                             const std::string& directory) {
    MILLRACE_TRY(const auto sequences, list_checkpoints(fs, directory));
    std::vector<InspectedCheckpoint> out;
    for (const uint64_t sequence : sequences) {
        const std::string path = join_path(directory, name_of(sequence));
        auto metadata = read_checkpoint(fs, path, {});
        if (metadata && metadata->sequence != sequence) {
            metadata = fail(ErrorCode::corrupt, "the content is that of another sequence number");
        }
        out.push_back({path, std::move(metadata)});
    }
    return out;
}

Result<CheckpointMetadata> load_checkpoint_file(FileSystem& fs, const std::string& path,
                                                StateStore& store) {
    MILLRACE_TRY(const CheckpointMetadata metadata,
                 read_checkpoint(fs, path,
                                 [&](const StateDelta& part) { return store.restore_part(part); }));
    MILLRACE_CHECK(store.finish_restore(metadata.sequence));
    return metadata;
}

Result<std::optional<LoadedCheckpoint>>
load_checkpoint(FileSystem& fs, const std::string& directory, StateStore& store) {
    MILLRACE_TRY(const auto sequences, list_checkpoints(fs, directory));
    LoadedCheckpoint loaded;
    for (size_t i = sequences.size(); i-- > 0;) {
        const std::string path = join_path(directory, name_of(sequences[i]));
        auto metadata = read_checkpoint(fs, path, {});
        if (metadata && metadata->sequence != sequences[i]) {
            metadata = fail(ErrorCode::corrupt, "the content is that of another sequence number");
        }
        if (!metadata) {
            loaded.warning += path + ": " + metadata.error().message + ". ";
            continue;
        }
        const auto restored = read_checkpoint(
            fs, path, [&](const StateDelta& part) { return store.restore_part(part); });
        if (!restored) {
            return fail(ErrorCode::corrupt, "checkpoint " + path +
                                                " cannot be restored: " + restored.error().message +
                                                "; remove it to start from an older one");
        }
        MILLRACE_CHECK(store.finish_restore(metadata->sequence));
        loaded.metadata = *metadata;
        return loaded;
    }
    if (!sequences.empty()) {
        return fail(ErrorCode::corrupt,
                    "no checkpoint can be read: " + loaded.warning +
                        "Check the disk, then restore the data directory from a backup or a "
                        "replica");
    }
    return std::nullopt;
}

Result<uint64_t> oldest_checkpoint_sequence(FileSystem& fs, const std::string& directory) {
    MILLRACE_TRY(const auto sequences, list_checkpoints(fs, directory));
    if (sequences.empty()) { return uint64_t{0}; }
    const size_t first =
        sequences.size() > checkpoints_kept ? sequences.size() - checkpoints_kept : 0;
    return sequences[first];
}

}  // namespace millrace::storage
