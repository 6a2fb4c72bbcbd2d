// SPDX-License-Identifier: Apache-2.0
// Owns the claims about who may call.
#include "net/rpc/http_policy.hpp"

#include <gtest/gtest.h>

namespace millrace::net {
namespace {

TEST(HostAllowed, NamesAndPorts) {
    const std::vector<std::string> hosts = {"localhost", "node.example"};
    EXPECT_TRUE(host_allowed("localhost", hosts));
    EXPECT_TRUE(host_allowed("LocalHost:8545", hosts));
    EXPECT_TRUE(host_allowed("node.example:1", hosts));
    EXPECT_FALSE(host_allowed("evil.example", hosts));
    EXPECT_FALSE(host_allowed("localhost.evil.example", hosts));
}

TEST(HostAllowed, IpAddressesAndAbsentHostsAlwaysPass) {
    EXPECT_TRUE(host_allowed("", {}));
    EXPECT_TRUE(host_allowed("127.0.0.1:8545", {}));
    EXPECT_TRUE(host_allowed("10.1.2.3", {}));
    EXPECT_TRUE(host_allowed("[::1]:8545", {}));
    EXPECT_TRUE(host_allowed("::1", {}));
    EXPECT_FALSE(host_allowed("127.0.0.1.evil.example", {}));
    EXPECT_FALSE(host_allowed("[::1", {}));
}

TEST(HostAllowed, StarAllowsAll) { EXPECT_TRUE(host_allowed("any.example", {"*"})); }

TEST(CorsAllowed, ExactWildcardAndAll) {
    EXPECT_FALSE(cors_allowed("http://a.example", {}));
    EXPECT_FALSE(cors_allowed("", {"*"}));
    EXPECT_TRUE(cors_allowed("http://a.example", {"*"}));
    EXPECT_TRUE(cors_allowed("http://A.example", {"http://a.example"}));
    EXPECT_FALSE(cors_allowed("https://a.example", {"http://a.example"}));
    EXPECT_TRUE(cors_allowed("http://x.example", {"http://*.example"}));
    EXPECT_FALSE(cors_allowed("http://x.example.evil", {"http://*.example"}));
    EXPECT_FALSE(cors_allowed("http://example", {"http://*.example"}));
}

TEST(WsOriginAllowed, DefaultIsLocalhostAndNoBrowser) {
    EXPECT_TRUE(ws_origin_allowed("", {}));
    EXPECT_TRUE(ws_origin_allowed("http://localhost", {}));
    EXPECT_TRUE(ws_origin_allowed("https://localhost:3000", {}));
    EXPECT_FALSE(ws_origin_allowed("http://evil.example", {}));
    EXPECT_FALSE(ws_origin_allowed("http://localhost.evil.example", {}));
}

TEST(WsOriginAllowed, RulesByPart) {
    EXPECT_TRUE(ws_origin_allowed("http://a.example", {"*"}));
    EXPECT_TRUE(ws_origin_allowed("https://a.example:8443", {"a.example"}));
    EXPECT_TRUE(ws_origin_allowed("https://a.example:8443", {"https://a.example"}));
    EXPECT_FALSE(ws_origin_allowed("http://a.example", {"https://a.example"}));
    EXPECT_FALSE(ws_origin_allowed("http://a.example:1", {"http://a.example:2"}));
    EXPECT_FALSE(ws_origin_allowed("http://localhost", {"http://a.example"}));
}

TEST(JsonContentType, OnlyJson) {
    EXPECT_TRUE(json_content_type("application/json"));
    EXPECT_TRUE(json_content_type("Application/JSON ; charset=utf-8"));
    EXPECT_TRUE(json_content_type("application/json-rpc"));
    EXPECT_FALSE(json_content_type("text/plain"));
    EXPECT_FALSE(json_content_type("application/jsonp"));
    EXPECT_FALSE(json_content_type(""));
}

}  // namespace
}  // namespace millrace::net
