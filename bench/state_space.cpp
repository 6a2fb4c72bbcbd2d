// SPDX-License-Identifier: Apache-2.0
// Owns the measurement of what the state engine takes on the disk and writes there, with and
// without rewriting of its sealed files. Counts of bytes, not times: the load of the machine
// changes none.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "host/base/metrics.hpp"
#include "storage/qmdb/engine.hpp"

using namespace millrace;
using namespace millrace::storage;

namespace {

// As the workload of bench/state: keys of 32 bytes, values of 32 to 100. Files are small, so that
// there are as many of them as in a state of some million keys.
constexpr size_t key_count = 200'000;
constexpr size_t batch_writes = 2500;
constexpr unsigned rounds = 1200;  ///< 15 updates a key; the last third is measured
constexpr uint64_t segment_bytes = uint64_t{8} << 20;

struct Case {
    const char* name;
    unsigned gain_percent;  ///< 0: no file is rewritten
    uint64_t history_blocks;
    bool compressible;
};

struct Measured {
    double write_amplification = 0;
    double space_amplification = 0;
    uint64_t rewritten = 0;
};

class Run {
public:
    Run(const Case& c, const std::string& directory)
        : case_(c), files_(make_posix_file_system()), keys_(key_count) {
        qmdb::EngineOptions options;
        options.history_blocks = c.history_blocks;
        options.log.segment_bytes = segment_bytes;
        options.care.rewrite = c.gain_percent != 0;
        options.care.rewrite_gain_percent = c.gain_percent;
        // As a thread that always keeps up.
        options.care.background = false;
        options.care.figures = std::make_shared<qmdb::FileCareFigures>(registry_);
        figures_ = options.care.figures;
        for (Hash256& key : keys_) {
            for (size_t i = 0; i < Hash256::size_bytes; i += sizeof(uint64_t)) {
                const uint64_t word = random_();
                std::memcpy(key.data() + i, &word, sizeof word);
            }
        }
        engine_ = qmdb::Engine::open(*files_, directory, options, make_pwrite_log_writer("bench"));
    }

    Result<Measured> measure() {
        if (!engine_) { return std::unexpected(engine_.error()); }
        std::vector<size_t> chosen;
        for (size_t from = 0; from < key_count; from += batch_writes) {
            chosen.clear();
            for (size_t i = from; i < from + batch_writes; ++i) { chosen.push_back(i); }
            MILLRACE_CHECK(apply(chosen));
        }
        Measured out;
        uint64_t given_before = 0;
        uint64_t written_before = 0;
        uint64_t samples = 0;
        for (unsigned round = 0; round < rounds; ++round) {
            if (round == rounds / 3 * 2) {
                given_before = given_;
                written_before = written();
            }
            chosen.clear();
            for (size_t i = 0; i < batch_writes; ++i) { chosen.push_back(random_() % key_count); }
            MILLRACE_CHECK(apply(chosen));
            if (round >= rounds / 3 * 2) {
                ++samples;
                out.space_amplification += static_cast<double>((*engine_)->stats().log_bytes);
            }
        }
        out.write_amplification = static_cast<double>(written() - written_before) /
                                  static_cast<double>(given_ - given_before);
        // What is live: 32 bytes of key and 66 of value each.
        out.space_amplification /= static_cast<double>(samples * key_count * (32 + 66));
        out.rewritten = figures_->rewritten.value();
        return out;
    }

private:
    Result<void> apply(std::vector<size_t>& chosen) {
        std::ranges::sort(chosen, {}, [this](size_t i) { return keys_[i]; });
        const auto repeats = std::ranges::unique(chosen);
        chosen.erase(repeats.begin(), repeats.end());
        std::vector<Bytes> values(chosen.size());
        std::vector<qmdb::StateWrite> writes;
        for (size_t i = 0; i < chosen.size(); ++i) {
            values[i].resize(32 + random_() % 69);
            // All of it by chance, or a counter's worth.
            const size_t noise = case_.compressible ? 8 : values[i].size();
            std::generate_n(values[i].begin(), noise,
                            [this] { return static_cast<uint8_t>(random_()); });
            writes.push_back({keys_[chosen[i]], ByteView{values[i]}});
            given_ += Hash256::size_bytes + values[i].size();
        }
        MILLRACE_CHECK((*engine_)->apply(++height_, writes));
        MILLRACE_CHECK((*engine_)->commit());
        if (height_ % 16 == 0) {
            MILLRACE_TRY(const size_t pruned, (*engine_)->prune());
            pruned_ += pruned;
        }
        return {};
    }

    /// Into files of the log: those made so far, and those that replaced others.
    uint64_t written() const {
        const qmdb::EngineStats s = (*engine_)->stats();
        const uint64_t files =
            (s.log_bytes - s.rewritten_bytes) / segment_bytes + s.rewritten_count + pruned_;
        return files * segment_bytes + figures_->bytes_after.value();
    }

    const Case case_;
    metrics::Registry registry_;
    std::shared_ptr<qmdb::FileCareFigures> figures_;
    std::unique_ptr<FileSystem> files_;
    std::mt19937_64 random_{1};
    std::vector<Hash256> keys_;
    Result<std::unique_ptr<qmdb::Engine>> engine_ = fail(ErrorCode::internal, "not opened");
    uint64_t height_ = 0;
    uint64_t given_ = 0;   ///< bytes of keys and values
    uint64_t pruned_ = 0;  ///< files
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: state_space_bench DIRECTORY   (made and removed; 1 GB)\n");
        return 2;
    }
    constexpr Case cases[] = {
        {"not rewritten", 0, 0, false},
        {"rewritten, gain 50 %", 50, 0, false},
        {"rewritten, gain 65 % (default)", 65, 0, false},
        {"rewritten, gain 80 %", 80, 0, false},
        {"rewritten, gain 65 %, compressible values", 65, 0, true},
        {"not rewritten, history of 100 blocks", 0, 100, false},
        {"rewritten, gain 65 %, history of 100 blocks", 65, 100, false},
    };
    std::printf("{\n  \"keys\": %zu, \"batch\": %zu, \"updates\": %zu, \"segment_bytes\": %llu,\n"
                "  \"cases\": [\n",
                key_count, batch_writes, size_t{rounds} * batch_writes,
                static_cast<unsigned long long>(segment_bytes));
    for (const Case& c : cases) {
        std::filesystem::remove_all(argv[1]);
        const auto measured = Run{c, argv[1]}.measure();
        std::filesystem::remove_all(argv[1]);
        if (!measured) {
            std::fprintf(stderr, "%s: %s\n", c.name, measured.error().message.c_str());
            return 1;
        }
        std::printf("    {\"case\": \"%s\", \"write_amplification\": %.2f, "
                    "\"space_amplification\": %.2f, \"rewritings\": %llu}%s\n",
                    c.name, measured->write_amplification, measured->space_amplification,
                    static_cast<unsigned long long>(measured->rewritten),
                    &c == std::end(cases) - 1 ? "" : ",");
    }
    std::printf("  ]\n}\n");
    return 0;
}
