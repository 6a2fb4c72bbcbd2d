// SPDX-License-Identifier: Apache-2.0
// Tests of the list of byte strings in one piece of memory.
#include "host/base/byte_list.hpp"

#include <gtest/gtest.h>

namespace millrace {
namespace {

Bytes owned(ByteView v) { return {v.begin(), v.end()}; }

TEST(ByteList, GivesBackWhatWasAdded) {
    ByteList list;
    EXPECT_TRUE(list.empty());
    std::vector<Bytes> expected;
    for (size_t i = 0; i < 200; ++i) {
        const Bytes item(i * 7 % 40, static_cast<uint8_t>(i));
        list.push_back(item);
        expected.push_back(item);
    }
    list.append([](Bytes& out) { out.insert(out.end(), {1, 2, 3}); });
    expected.push_back({1, 2, 3});
    ASSERT_EQ(list.size(), expected.size());
    size_t bytes = 0;
    const std::vector<ByteView> views = list.views();
    ASSERT_EQ(views.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(owned(list[i]), expected[i]);
        EXPECT_EQ(owned(views[i]), expected[i]);
        bytes += expected[i].size();
    }
    EXPECT_EQ(list.bytes(), bytes);
}

TEST(ByteList, EqualMeansTheSameItems) {
    const Bytes ab{1, 2};
    const Bytes c{3};
    const Bytes a{1};
    const Bytes bc{2, 3};
    EXPECT_EQ((ByteList{ab, c}), (ByteList{ab, c}));
    EXPECT_NE((ByteList{ab, c}), (ByteList{a, bc})) << "the same bytes, cut elsewhere";
    EXPECT_NE((ByteList{ab}), (ByteList{ab, Bytes{}})) << "empty items count";
}

}  // namespace
}  // namespace millrace
