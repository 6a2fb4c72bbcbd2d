// SPDX-License-Identifier: Apache-2.0
// Owns the tests of compiled contracts on disk: damage, foreign files, several processes, kill -9.
#include "evm/jit/object_cache.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <thread>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "evm/jit/engine.hpp"
#include "tests/evm/jit/outcome.hpp"
#include "tests/evm/jit/temporary_directory.hpp"

namespace millrace::evm::jit {
namespace {

namespace fs = std::filesystem;

Hash256 numbered(uint8_t n) {
    Hash256 h;
    h[0] = n;
    h[31] = 1;
    return h;
}
CompiledObject object_of(uint8_t n, size_t bytes = 100) {
    CompiledObject o;
    for (size_t i = 0; i < bytes; ++i) { o.object.push_back(static_cast<uint8_t>(n * 31 + i)); }
    o.stack_bytes = 40u + n;
    o.text_bytes = 70u + n;
    return o;
}
bool same(const CompiledObject& a, const CompiledObject& b) {
    return a.object == b.object && a.stack_bytes == b.stack_bytes && a.text_bytes == b.text_bytes;
}
std::unique_ptr<ObjectCache> open(const TemporaryDirectory& d, size_t bytes_max = 1 << 20) {
    return ObjectCache::open(d.path(), bytes_max).value();
}
std::vector<fs::path> files(const TemporaryDirectory& d) {
    std::vector<fs::path> out;
    for (const auto& e : fs::directory_iterator(d.path())) { out.push_back(e.path()); }
    std::sort(out.begin(), out.end());
    return out;
}
Bytes read(const fs::path& p) {
    std::ifstream in(p, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}
void write(const fs::path& p, const Bytes& b) {
    std::ofstream out(p, std::ios::binary | std::ios::trunc);
    out.write(reinterpret_cast<const char*>(b.data()), static_cast<std::streamsize>(b.size()));
}

TEST(JitObjectCache, GivesBackWhatItWasGivenUnderItsKeyOnly) {
    const TemporaryDirectory d;
    open(d)->add(numbered(1), Revision::prague, object_of(1));
    const auto cache = open(d);
    EXPECT_TRUE(same(cache->find(numbered(1), Revision::prague).value(), object_of(1)));
    EXPECT_EQ(cache->find(numbered(2), Revision::prague).error().code, ErrorCode::not_found);
    EXPECT_EQ(cache->find(numbered(1), Revision::osaka).error().code, ErrorCode::not_found);
    cache->add(numbered(1), Revision::prague, object_of(2));
    EXPECT_TRUE(same(cache->find(numbered(1), Revision::prague).value(), object_of(2)));
    EXPECT_EQ(cache->entries().size(), 1u);
}

TEST(JitObjectCache, EveryChangedByteIsSeenAndTheFileDeleted) {
    const TemporaryDirectory d;
    const auto cache = open(d);
    cache->add(numbered(1), latest_revision, object_of(1));
    ASSERT_EQ(files(d).size(), 1u);
    const fs::path file = files(d)[0];
    const Bytes good = read(file);
    ASSERT_EQ(good.size(), 196u);
    for (size_t i = 0; i < good.size(); ++i) {
        Bytes bad = good;
        bad[i] ^= static_cast<uint8_t>(1u << (i % 8));
        write(file, bad);
        const auto found = cache->find(numbered(1), latest_revision);
        ASSERT_FALSE(found) << "byte " << i;
        EXPECT_EQ(found.error().code, ErrorCode::corrupt);
        EXPECT_TRUE(files(d).empty());
    }
}

TEST(JitObjectCache, EveryTruncationAndAnyTailIsSeen) {
    const TemporaryDirectory d;
    const auto cache = open(d);
    cache->add(numbered(1), latest_revision, object_of(1));
    const fs::path file = files(d)[0];
    const Bytes good = read(file);
    for (size_t n = 0; n < good.size(); ++n) {
        write(file, Bytes(good.begin(), good.begin() + static_cast<ptrdiff_t>(n)));
        EXPECT_FALSE(cache->find(numbered(1), latest_revision)) << n;
    }
    Bytes longer = good;
    longer.push_back(0);
    write(file, longer);
    EXPECT_FALSE(cache->find(numbered(1), latest_revision));
    write(file, good);
    EXPECT_TRUE(cache->find(numbered(1), latest_revision));
}

TEST(JitObjectCache, AFileUnderAnothersNameIsNotTaken) {
    const TemporaryDirectory d;
    const auto cache = open(d);
    cache->add(numbered(1), Revision::prague, object_of(1));
    const fs::path first = files(d)[0];
    const Bytes bytes = read(first);
    cache->add(numbered(2), Revision::prague, object_of(2));
    cache->add(numbered(1), Revision::osaka, object_of(3));
    for (const fs::path& p : files(d)) { write(p, bytes); }
    EXPECT_TRUE(same(cache->find(numbered(1), Revision::prague).value(), object_of(1)));
    EXPECT_FALSE(cache->find(numbered(2), Revision::prague));
    EXPECT_FALSE(cache->find(numbered(1), Revision::osaka));
}

TEST(JitObjectCache, ForeignFilesAreLeftAlone) {
    const TemporaryDirectory d;
    write(d.path() / "README", {1, 2, 3});
    write(d.path() / "other.mrjit", {1, 2, 3});
    fs::create_directory(d.path() / "folder.mrjit");
    const auto cache = open(d);
    cache->add(numbered(1), latest_revision, object_of(1));
    EXPECT_TRUE(cache->find(numbered(1), latest_revision));
    EXPECT_TRUE(fs::exists(d.path() / "README"));
    EXPECT_TRUE(fs::exists(d.path() / "folder.mrjit"));
}

TEST(JitObjectCache, TheOldestMakeRoom) {
    const TemporaryDirectory d;
    const auto cache = open(d, 1'000);
    for (uint8_t n = 0; n < 20; ++n) {
        cache->add(numbered(n), latest_revision, object_of(n));
        uint64_t bytes = 0;
        for (const fs::path& p : files(d)) { bytes += fs::file_size(p); }
        EXPECT_LE(bytes, 1'000u);
        EXPECT_TRUE(cache->find(numbered(n), latest_revision));
    }
    // One that is larger than the whole is not kept, and nothing goes for it.
    const size_t before = files(d).size();
    cache->add(numbered(99), latest_revision, object_of(1, 2'000));
    EXPECT_EQ(files(d).size(), before);
    EXPECT_FALSE(cache->find(numbered(99), latest_revision));
}

TEST(JitObjectCache, WhatIsForbiddenStaysSo) {
    const TemporaryDirectory d;
    const auto cache = open(d);
    cache->add(numbered(1), latest_revision, object_of(1));
    cache->forbid(numbered(1), latest_revision, "gave another result");
    cache->add(numbered(1), latest_revision, object_of(1));
    const auto found = open(d)->find(numbered(1), latest_revision);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ErrorCode::conflict);
    EXPECT_NE(found.error().message.find("gave another result"), std::string::npos);
    EXPECT_TRUE(cache->find(numbered(1), Revision::prague).error().code == ErrorCode::not_found);
}

/// Writes and reads what others write too, until it is killed.
[[noreturn]] void write_forever(const TemporaryDirectory& d, uint8_t offset) {
    const auto cache = open(d, 4 << 20);
    for (uint32_t i = offset;; ++i) {
        const auto n = static_cast<uint8_t>(i % 8);
        cache->add(numbered(n), latest_revision, object_of(n, 60'000));
        const auto found = cache->find(numbered(n), latest_revision);
        if (found && !same(*found, object_of(n, 60'000))) { _exit(7); }
    }
}

TEST(JitObjectCache, ProcessesShareItAndMayBeKilledAnywhere) {
    const TemporaryDirectory d;
    const auto cache = open(d, 4 << 20);
    for (unsigned round = 0; round < 12; ++round) {
        pid_t children[2];
        for (uint8_t c = 0; c < 2; ++c) {
            children[c] = fork();
            if (children[c] == 0) { write_forever(d, c); }
        }
        unsigned found = 0;
        // In the last rounds until there is something: the children may get no processor for long.
        const auto enough = [&](unsigned i) {
            return i >= 40 + 17 * round && (round <= 8 || found != 0);
        };
        for (unsigned i = 0; !enough(i); ++i) {
            if (i >= 400) { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }
            const auto n = static_cast<uint8_t>(i % 8);
            const auto object = cache->find(numbered(n), latest_revision);
            if (!object) {
                // Nobody ever sees a file that is only written in part.
                EXPECT_EQ(object.error().code, ErrorCode::not_found);
                continue;
            }
            ++found;
            EXPECT_TRUE(same(*object, object_of(n, 60'000)));
        }
        for (const pid_t child : children) {
            kill(child, SIGKILL);
            int status = 0;
            waitpid(child, &status, 0);
            EXPECT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
        }
    }
    // What they were killed in neither harms nor hides anything.
    for (uint8_t n = 0; n < 8; ++n) {
        cache->add(numbered(n), latest_revision, object_of(n, 60'000));
        EXPECT_TRUE(cache->find(numbered(n), latest_revision)) << int{n};
    }
}

TEST(JitObjectCache, TheEngineStartsFromItAndSurvivesItsDamage) {
    const TemporaryDirectory d;
    const Bytes code = {0x60, 0x03, 0x60, 0x00, 0x35, 0x01, 0x60,
                        0x00, 0x52, 0x60, 0x20, 0x60, 0x00, 0xf3};
    const Scenario scenario = call_of(code, Bytes(32, 9), 100'000);
    const Outcome expected = run(scenario, nullptr);
    const auto start = [&] {
        JitOptions options;
        options.mode = JitMode::eager;
        options.shadow_runs = 0;
        options.cache_directory = d.path();
        return JitEngine::create(std::move(options)).value();
    };
    EXPECT_EQ(difference(expected, run(scenario, start().get())), "");
    ASSERT_EQ(files(d).size(), 1u);
    auto engine = start();
    EXPECT_EQ(difference(expected, run(scenario, engine.get())), "");
    EXPECT_EQ(engine->statistics().cache_hits, 1u);
    EXPECT_EQ(engine->statistics().native_frames, 1u);
    Bytes bytes = read(files(d)[0]);
    bytes[bytes.size() / 2] ^= 1;
    write(files(d)[0], bytes);
    engine = start();
    EXPECT_EQ(difference(expected, run(scenario, engine.get())), "");
    EXPECT_EQ(engine->statistics().cache_hits, 0u);
    EXPECT_EQ(engine->statistics().native_frames, 1u);
    EXPECT_TRUE(open(d)->entries().size() == 1);
}

}  // namespace
}  // namespace millrace::evm::jit
