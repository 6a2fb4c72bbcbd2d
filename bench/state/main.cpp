// SPDX-License-Identifier: Apache-2.0
// Owns the phases and figures of the state benchmark.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <time.h>

#include "bench/state/proof_sizes.hpp"
#include "bench/state/store.hpp"
#include "bench/state/workload.hpp"

namespace {

using namespace millrace;               // NOLINT: a program of its own
using namespace millrace::state_bench;  // NOLINT

constexpr const char* usage =
    "usage: state_bench --dir EMPTY_FOLDER [--stores LIST] [--keys N] [--batch N] [--rounds N]\n"
    "                   [--reads N] [--hot] [--seed N] [--commit TEXT] [--json FILE]\n"
    "  --stores  of keccak256, sha256, blake3 (the state engine by hash), rocksdb, lmdb\n";

struct Arguments {
    std::string dir;
    std::string stores = "keccak256,blake3,rocksdb,lmdb";
    uint64_t keys = 1'000'000;
    uint64_t batch = 10'000;
    uint64_t rounds = 100;
    uint64_t reads = 200'000;
    bool hot = false;
    uint64_t seed = 1;
    std::string commit = "unknown";
    std::string json;
};

double seconds(clockid_t clock) {
    timespec now{};
    if (clock_gettime(clock, &now) != 0) { std::abort(); }
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// Bytes that this process caused to be written so far; 0 where the system does not say.
uint64_t written_bytes() {
    std::ifstream file("/proc/self/io");
    std::string name;
    uint64_t value = 0;
    while (file >> name >> value) {
        if (name == "write_bytes:") { return value; }
    }
    return 0;
}

double quantile(std::vector<double> samples, double q) {
    if (samples.empty()) { return 0; }
    std::ranges::sort(samples);
    return samples[static_cast<size_t>(q * static_cast<double>(samples.size() - 1))];
}

/// Figures of one phase of one store.
struct Phase {
    std::string store;
    std::string name;
    uint64_t writes = 0;
    uint64_t payload_bytes = 0;  ///< keys and values
    double wall_s = 0;
    double cpu_s = 0;
    uint64_t disk_bytes = 0;
    std::vector<double> samples_ms;
    std::string extra;
};

void print(const Phase& p, std::string& json) {
    const auto writes = static_cast<double>(std::max<uint64_t>(p.writes, 1));
    char text[900];
    std::snprintf(text, sizeof text,
                  "  {\"name\": \"state/%s/%s\", \"run_type\": \"iteration\", \"items\": %llu, "
                  "\"real_time\": %.3f, \"cpu_time\": %.3f, \"time_unit\": \"s\", "
                  "\"items_per_second\": %.0f, \"cpu_us_per_item\": %.3f, \"p50_ms\": %.4f, "
                  "\"p99_ms\": %.4f, \"written_bytes\": %llu, \"payload_bytes\": %llu%s}",
                  p.store.c_str(), p.name.c_str(), static_cast<unsigned long long>(p.writes),
                  p.wall_s, p.cpu_s, writes / p.wall_s, p.cpu_s / writes * 1e6,
                  quantile(p.samples_ms, 0.5), quantile(p.samples_ms, 0.99),
                  static_cast<unsigned long long>(p.disk_bytes),
                  static_cast<unsigned long long>(p.payload_bytes), p.extra.c_str());
    if (!json.empty()) { json += ",\n"; }
    json += text;
    const double payload = static_cast<double>(std::max<uint64_t>(p.payload_bytes, 1));
    std::printf("%-18s %-8s %9.0f /s  %8.3f us CPU  p50 %9.4f ms  p99 %9.4f ms  written/payload "
                "%6.2f%s\n",
                p.store.c_str(), p.name.c_str(), writes / p.wall_s, p.cpu_s / writes * 1e6,
                quantile(p.samples_ms, 0.5), quantile(p.samples_ms, 0.99),
                static_cast<double>(p.disk_bytes) / payload, p.extra.c_str());
    std::fflush(stdout);
}

[[noreturn]] void die(const std::string& store, const std::string& what) {
    std::fprintf(stderr, "state_bench: %s: %s\n", store.c_str(), what.c_str());
    std::exit(1);
}

/// Runs every phase of one store.
class Run {
public:
    Run(Store& store, const Arguments& arguments, std::string& json)
        : store_(store),
          arguments_(arguments),
          json_(json),
          work_(arguments.keys, arguments.seed) {}

    void all() {
        const uint64_t batch = arguments_.batch;
        write_phase("load", (arguments_.keys + batch - 1) / batch,
                    [&] { return work_.load(batch); });
        write_phase("update", arguments_.rounds,
                    [&] { return work_.update(batch, arguments_.hot); });
        write_phase("churn", arguments_.rounds, [&] { return work_.churn(batch); });
        check("before the restart");
        read_phase();
        proof_phase();
        restart();
        check("after the restart");
        rollback();
    }

private:
    void write_phase(const std::string& name, uint64_t rounds, const std::function<Batch()>& next) {
        Phase p{store_.name(), name, 0, 0, 0, 0, 0, {}, {}};
        const uint64_t written_before = written_bytes();
        for (uint64_t round = 0; round < rounds; ++round) {
            const Batch batch = next();
            const double wall = seconds(CLOCK_MONOTONIC);
            const double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
            if (auto r = store_.apply(++height_, batch.writes); !r) {
                die(store_.name(), r.error().message);
            }
            p.cpu_s += seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
            const double took = seconds(CLOCK_MONOTONIC) - wall;
            p.wall_s += took;
            p.samples_ms.push_back(took * 1e3);
            p.writes += batch.writes.size();
            last_written_.clear();
            for (const auto& w : batch.writes) { last_written_.push_back(w.key); }
            last_written_.resize(std::min(last_written_.size(), storage::multiproof_keys_max));
            for (const auto& w : batch.writes) {
                p.payload_bytes += Hash256::size_bytes + (w.value ? w.value->size() : 0);
            }
        }
        p.disk_bytes = written_bytes() - written_before;
        if (const auto ram = store_.ram_bytes()) {
            char text[80];
            std::snprintf(text, sizeof text, ", \"ram_bytes_per_key\": %.2f",
                          static_cast<double>(*ram) / static_cast<double>(arguments_.keys));
            p.extra = text + store_.details();
        }
        print(p, json_);
    }
    void read_phase() {
        Phase p{store_.name(), "get", 0, 0, 0, 0, 0, {}, {}};
        for (uint64_t i = 0; i < arguments_.reads; ++i) {
            const Hash256 key = Workload::key(work_.next_random() % work_.key_count());
            const double wall = seconds(CLOCK_MONOTONIC);
            const auto value = store_.get(key);
            const double took = seconds(CLOCK_MONOTONIC) - wall;
            if (!value) { die(store_.name(), value.error().message); }
            p.wall_s += took;
            p.samples_ms.push_back(took * 1e3);
            ++p.writes;
        }
        p.cpu_s = p.wall_s;
        print(p, json_);
    }
    void proof_phase() {
        const auto random = [&] { return Workload::key(work_.next_random() % work_.key_count()); };
        proof("proof", {random()});
        std::set<Hash256> many;
        const uint64_t count = std::min<uint64_t>(10'000, work_.key_count() / 2);
        while (many.size() < count) { many.insert(random()); }
        proof("proof-random", {many.begin(), many.end()});
        proof("proof-hot", last_written_);
    }
    void proof(const std::string& name, const std::vector<Hash256>& keys) {
        const auto bytes = store_.proof_bytes(keys);
        if (!bytes) { die(store_.name(), bytes.error().message); }
        if (!*bytes) { return; }
        char text[300];
        const double per_key = static_cast<double>(**bytes) / static_cast<double>(keys.size());
        std::snprintf(text, sizeof text,
                      "  {\"name\": \"state/%s/%s\", \"keys\": %zu, \"bytes\": %llu, "
                      "\"bytes_per_key\": %.1f}",
                      store_.name().c_str(), name.c_str(), keys.size(),
                      static_cast<unsigned long long>(**bytes), per_key);
        if (!json_.empty()) { json_ += ",\n"; }
        json_ += text;
        std::printf("%-18s %-12s %zu keys, %.1f bytes a key, verified\n", store_.name().c_str(),
                    name.c_str(), keys.size(), per_key);
    }
    void restart() {
        Phase p{store_.name(), "restart", 1, 0, 0, 0, 0, {}, {}};
        const double wall = seconds(CLOCK_MONOTONIC);
        const double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
        if (auto r = store_.reopen(); !r) { die(store_.name(), r.error().message); }
        p.cpu_s = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        p.wall_s = seconds(CLOCK_MONOTONIC) - wall;
        p.samples_ms.push_back(p.wall_s * 1e3);
        print(p, json_);
    }
    /// Takes back at most 100 batches of churn; an item is a write of theirs.
    void rollback() {
        const uint64_t blocks = std::min<uint64_t>(arguments_.rounds, 100);
        Phase p{store_.name(), "rollback", blocks * arguments_.batch, 0, 0, 0, 0, {}, {}};
        const double wall = seconds(CLOCK_MONOTONIC);
        const double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
        const auto done = store_.rollback(blocks);
        if (!done) { return; }
        if (!*done) { die(store_.name(), done->error().message); }
        p.cpu_s = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        p.wall_s = seconds(CLOCK_MONOTONIC) - wall;
        p.samples_ms.push_back(p.wall_s * 1e3);
        p.extra = ", \"blocks\": " + std::to_string(blocks);
        print(p, json_);
    }
    void check(const char* when) {
        for (uint64_t i = 0; i < 20'000; ++i) {
            const uint64_t index = work_.next_random() % work_.key_count();
            const auto value = store_.get(Workload::key(index));
            if (!value) { die(store_.name(), value.error().message); }
            if (*value != work_.expected(index)) {
                die(store_.name(), "a wrong value " + std::string{when});
            }
        }
    }

    Store& store_;
    const Arguments& arguments_;
    std::string& json_;
    Workload work_;
    std::vector<Hash256> last_written_;  ///< the keys of the last batch
    uint64_t height_ = 0;
};

/// Sizes of proofs in a state of a thousand million keys (proof_sizes.hpp says how).
void computed_proofs(std::string& json) {
    struct Row {
        const char* name;
        uint64_t asked;
        uint64_t recent_writes;
        uint64_t target;
    };
    for (const Row& row : {Row{"single", 1, 0, 1'200}, Row{"random-10k", 10'000, 0, 620},
                           Row{"hot-10k", 10'000, 1'000'000, 280}}) {
        for (const LogShape shape : {LogShape::loaded, LogShape::worn}) {
            for (const unsigned value_bytes : {32u, 66u}) {
                const uint64_t bytes =
                    proof_bytes({1'000'000'000, row.asked, value_bytes, shape, row.recent_writes});
                const double per_key = static_cast<double>(bytes) / static_cast<double>(row.asked);
                const char* const log = shape == LogShape::loaded ? "loaded" : "worn";
                char text[300];
                std::snprintf(text, sizeof text,
                              "  {\"name\": \"state/proof-computed-1b/%s/%s/%u-byte-values\", "
                              "\"bytes_per_key\": %.1f, \"target_bytes_per_key\": %llu}",
                              row.name, log, value_bytes, per_key,
                              static_cast<unsigned long long>(row.target));
                if (!json.empty()) { json += ",\n"; }
                json += text;
                std::printf("computed, 1 G keys %-10s %-6s log, %u-byte values: %.1f bytes a key "
                            "(target %llu)\n",
                            row.name, log, value_bytes, per_key,
                            static_cast<unsigned long long>(row.target));
            }
        }
    }
}

std::string first_line(const char* path, const std::string& prefix) {
    std::ifstream file(path);
    std::string line;
    while (std::getline(file, line)) {
        if (line.starts_with(prefix)) {
            const size_t colon = line.find(": ");
            return colon == std::string::npos ? line : line.substr(colon + 2);
        }
    }
    return "unknown";
}

bool write_json(const Arguments& a, const std::string& load_before, const std::string& rows) {
    char date[40];
    const std::time_t now = std::time(nullptr);
    std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
    std::ofstream file(a.json);
    file << "{\n \"context\": {\n  \"date\": \"" << date << "\",\n  \"commit\": \"" << a.commit
         << "\",\n  \"cpu\": \"" << first_line("/proc/cpuinfo", "model name")
         << "\",\n  \"compiler\": \"" << __VERSION__ << "\",\n  \"load_average_before\": \""
         << load_before << "\",\n  \"load_average_after\": \"" << first_line("/proc/loadavg", "")
         << "\",\n  \"keys\": " << a.keys << ",\n  \"batch\": " << a.batch
         << ",\n  \"rounds\": " << a.rounds << ",\n  \"hot\": " << (a.hot ? "true" : "false")
         << ",\n  \"answers\": \"20,000 keys are compared with what was written, before and after "
            "a restart\"\n },\n \"benchmarks\": [\n"
         << rows << "\n ]\n}\n";
    return file.good();
}

bool parse(int argc, char** argv, Arguments& a) {
    const std::map<std::string, uint64_t*> numbers{{"--keys", &a.keys},
                                                   {"--batch", &a.batch},
                                                   {"--rounds", &a.rounds},
                                                   {"--reads", &a.reads},
                                                   {"--seed", &a.seed}};
    const std::map<std::string, std::string*> texts{
        {"--dir", &a.dir}, {"--stores", &a.stores}, {"--commit", &a.commit}, {"--json", &a.json}};
    for (int i = 1; i < argc; ++i) {
        const std::string key = argv[i];
        if (key == "--hot") {
            a.hot = true;
        } else if (i + 1 == argc) {
            return false;
        } else if (const auto n = numbers.find(key); n != numbers.end()) {
            char* end = nullptr;
            *n->second = std::strtoull(argv[++i], &end, 10);
            if (*end != '\0' || *n->second == 0) { return false; }
        } else if (const auto t = texts.find(key); t != texts.end()) {
            *t->second = argv[++i];
        } else {
            return false;
        }
    }
    return !a.dir.empty();
}

Result<std::unique_ptr<Store>> make_store(const std::string& name, const std::string& directory) {
    if (name == "rocksdb") { return make_rocksdb_store(directory); }
    if (name == "lmdb") { return make_lmdb_store(directory); }
    for (const auto hash :
         {kernels::NodeHash::keccak256, kernels::NodeHash::sha256, kernels::NodeHash::blake3}) {
        if (name == to_string(hash)) { return make_state_store(directory, hash); }
    }
    return fail(ErrorCode::invalid_input, "there is no such store");
}

}  // namespace

int main(int argc, char** argv) {
    Arguments a;
    if (!parse(argc, argv, a)) {
        std::fputs(usage, stderr);
        return 2;
    }
    const std::string load_before = first_line("/proc/loadavg", "");
    std::string rows;
    for (size_t from = 0; from < a.stores.size();) {
        const size_t comma = std::min(a.stores.find(',', from), a.stores.size());
        const std::string name = a.stores.substr(from, comma - from);
        from = comma + 1;
        const std::string directory = a.dir + "/" + name;
        std::filesystem::create_directories(directory);
        if (!std::filesystem::is_empty(directory)) { die(name, directory + " is not empty"); }
        {
            auto store = make_store(name, directory);
            if (!store && store.error().code == ErrorCode::unavailable) {
                std::printf("%s is left out: %s\n", name.c_str(), store.error().message.c_str());
                continue;
            }
            if (!store) { die(name, store.error().message); }
            Run{**store, a, rows}.all();
        }
        std::filesystem::remove_all(directory);
    }
    computed_proofs(rows);
    if (!a.json.empty() && !write_json(a, load_before, rows)) {
        std::fprintf(stderr, "state_bench: cannot write %s\n", a.json.c_str());
        return 1;
    }
    return 0;
}
