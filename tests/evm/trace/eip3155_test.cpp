// SPDX-License-Identifier: Apache-2.0
// Owns the tests of EIP-3155 traces: programs written by hand and the lines that they must give.
#include "evm/trace/eip3155.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;  // NOLINT: the assembler and the machine
using testing::ElementsAre;
using testing::HasSubstr;

using Lines = std::vector<std::string>;

/// The lines that `run`, given the tracer, makes.
template <class Run>
Lines lines_of(Run run, TraceFields fields = {}) {
    std::string text;
    {
        Eip3155Tracer tracer{[&](std::string_view lines) { text += lines; }, fields};
        run(tracer);
    }
    Lines out;
    for (size_t at = 0; at < text.size();) {
        const size_t end = text.find('\n', at);
        EXPECT_NE(end, std::string::npos) << "a line without an end";
        out.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return out;
}

Lines trace(Machine& machine, ByteView code, RunOptions options = {}, TraceFields fields = {}) {
    return lines_of(
        [&](Tracer& tracer) {
            options.tracer = &tracer;
            machine.run(code, options);
        },
        fields);
}

/// The text of a field, "" without it.
std::string field(const std::string& line, const std::string& name) {
    const std::string key = "\"" + name + "\":";
    const size_t at = line.find(key);
    if (at == std::string::npos) { return {}; }
    const size_t begin = at + key.size();
    const char last = line[begin] == '"' ? '"' : line[begin] == '[' ? ']' : ',';
    const size_t end = std::min(line.find(last, begin + 1), line.size());
    return line[begin] == '"' ? line.substr(begin + 1, end - begin - 1)
                              : line.substr(begin, end - begin + (last == ']' ? 1 : 0));
}
int64_t number(const std::string& line, const std::string& name) {
    return std::stoll(field(line, name), nullptr, 0);
}

/// A line in short: "pc NAME gas-cost [stack] depth", and what is not zero of memory and refund.
std::string in_short(const std::string& line) {
    std::string out = field(line, "pc") + " " + field(line, "opName") + " " +
                      std::to_string(number(line, "gas")) + "-" +
                      std::to_string(number(line, "gasCost")) + " ";
    for (const char c : field(line, "stack")) {
        if (c != '"') { out += c; }
    }
    out += " " + field(line, "depth");
    if (field(line, "memSize") != "0") { out += " mem " + field(line, "memSize"); }
    if (field(line, "refund") != "0") { out += " refund " + field(line, "refund"); }
    if (const std::string e = field(line, "error"); !e.empty()) { out += " " + e; }
    return out;
}
Lines in_short(const Lines& lines) {
    Lines out;
    for (const std::string& l : lines) { out.push_back(in_short(l)); }
    return out;
}
/// The last `n` lines in short.
Lines tail(const Lines& lines, size_t n) {
    Lines all = in_short(lines);
    return Lines(all.end() - static_cast<ptrdiff_t>(std::min(n, all.size())), all.end());
}

// --- Form ---

TEST(Eip3155, ALineHasTheFieldsOfTheEipInItsOrder) {
    Machine m;
    // PUSH1 1, PUSH1 2, ADD, STOP
    EXPECT_THAT(
        trace(m, *from_hex("600160020100"), {.gas = 100}),
        ElementsAre(
            R"({"pc":0,"op":96,"gas":"0x64","gasCost":"0x3","stack":[],"depth":1,"refund":0,"memSize":0,"opName":"PUSH1"})",
            R"({"pc":2,"op":96,"gas":"0x61","gasCost":"0x3","stack":["0x1"],"depth":1,"refund":0,"memSize":0,"opName":"PUSH1"})",
            R"({"pc":4,"op":1,"gas":"0x5e","gasCost":"0x3","stack":["0x1","0x2"],"depth":1,"refund":0,"memSize":0,"opName":"ADD"})",
            R"({"pc":5,"op":0,"gas":"0x5b","gasCost":"0x0","stack":["0x3"],"depth":1,"refund":0,"memSize":0,"opName":"STOP"})"));
}

TEST(Eip3155, MemoryAndReturnDataAreThereWhenAskedFor) {
    Machine m;
    // PUSH1 0xff, PUSH1 31, MSTORE8, INVALID
    const Lines lines =
        trace(m, *from_hex("60ff601f53fe"), {.gas = 50}, {.memory = true, .return_data = true});
    EXPECT_THAT(
        lines,
        ElementsAre(
            R"({"pc":0,"op":96,"gas":"0x32","gasCost":"0x3","stack":[],"depth":1,"returnData":"0x","refund":0,"memSize":0,"opName":"PUSH1","memory":"0x"})",
            R"({"pc":2,"op":96,"gas":"0x2f","gasCost":"0x3","stack":["0xff"],"depth":1,"returnData":"0x","refund":0,"memSize":0,"opName":"PUSH1","memory":"0x"})",
            R"({"pc":4,"op":83,"gas":"0x2c","gasCost":"0x6","stack":["0xff","0x1f"],"depth":1,"returnData":"0x","refund":0,"memSize":0,"opName":"MSTORE8","memory":"0x"})",
            R"({"pc":5,"op":254,"gas":"0x26","gasCost":"0x0","stack":[],"depth":1,"returnData":"0x","refund":0,"memSize":32,"opName":"INVALID","error":"invalid opcode","memory":"0x00000000000000000000000000000000000000000000000000000000000000ff"})"));
}

TEST(Eip3155, WordsHaveNoLeadingZeros) {
    Machine m;
    Code code;
    code.push(U256{0})
        .push(U256{0x0f})
        .push(~U256{})
        .push(shl(U256{1}, 252))
        .push(shl(U256{1}, 64));
    const Lines lines = trace(m, code);
    EXPECT_EQ(
        field(lines.back(), "stack"),
        R"(["0x0","0xf","0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",)"
        R"("0x1000000000000000000000000000000000000000000000000000000000000000",)"
        R"("0x10000000000000000"])");
}

TEST(Eip3155, TheSummaryIsTheLastLine) {
    const Bytes output = *from_hex("0x40");
    const Lines lines = lines_of([&](Eip3155Tracer& t) {
        t.write_summary({.output = output, .gas_used = 0x515c, .pass = true, .fork = "Osaka"});
        t.write_summary({.state_root = hash_literal("0x01d4c577737f5d20207d338c360c42d3af78de54812"
                                                    "720e3339f7b27293ef195"),
                         .gas_used = 3,
                         .error = "execution reverted: \"a\\b\"\n\xc3\xbc",
                         .time_ns = 141485,
                         .fork = "London"});
    });
    EXPECT_THAT(
        lines,
        ElementsAre(
            R"({"output":"40","gasUsed":"0x515c","pass":true,"fork":"Osaka"})",
            R"({"stateRoot":"0x01d4c577737f5d20207d338c360c42d3af78de54812720e3339f7b27293ef195","output":"","gasUsed":"0x3","pass":false,"error":"execution reverted: \"a\\b\"\u000a\u00c3\u00bc","time":141485,"fork":"London"})"));
}

TEST(Eip3155, LongTracesAreHandedOnInPiecesOfWholeLines) {
    Machine m;
    // JUMPDEST, GAS, POP, PUSH1 0, JUMP: loops until the gas is gone
    const Bytes loop = *from_hex("5b5a50600056");
    size_t pieces = 0;
    size_t largest = 0;
    std::string text;
    {
        Eip3155Tracer tracer{[&](std::string_view lines) {
            ++pieces;
            largest = std::max(largest, lines.size());
            EXPECT_EQ(lines.back(), '\n');
            text += lines;
        }};
        m.run(loop, {.gas = 100'000, .tracer = &tracer});
        EXPECT_GT(pieces, 10u);
    }
    EXPECT_LT(largest, 70'000u);
    // 16 gas a round of 5 instructions; the last round ends within.
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 100'000 / 16 * 5 + 1);
}

// --- The sample of the EIP ---

TEST(Eip3155, TheSampleOfTheEipHasItsGasStackAndReturnData) {
    // Its rules are those of Istanbul (700 for a call, no cold accounts). The published memSize is
    // after MSTORE8's growth, its text asks for the size before.
    Machine m{Revision::istanbul};
    const Lines lines = trace(m, *from_hex("604080536040604055604060006040600060025afa6040f3"),
                              {.gas = 0x2540be400}, {.return_data = true});
    struct Row {
        uint64_t pc;
        int op;
        const char* gas;
        const char* cost;
        const char* stack;
        const char* name;
    };
    const Row rows[] = {
        {0, 96, "0x2540be400", "0x3", R"([])", "PUSH1"},
        {2, 128, "0x2540be3fd", "0x3", R"(["0x40"])", "DUP1"},
        {3, 83, "0x2540be3fa", "0xc", R"(["0x40","0x40"])", "MSTORE8"},
        {4, 96, "0x2540be3ee", "0x3", R"([])", "PUSH1"},
        {6, 96, "0x2540be3eb", "0x3", R"(["0x40"])", "PUSH1"},
        {8, 85, "0x2540be3e8", "0x4e20", R"(["0x40","0x40"])", "SSTORE"},
        {9, 96, "0x2540b95c8", "0x3", R"([])", "PUSH1"},
        {11, 96, "0x2540b95c5", "0x3", R"(["0x40"])", "PUSH1"},
        {13, 96, "0x2540b95c2", "0x3", R"(["0x40","0x0"])", "PUSH1"},
        {15, 96, "0x2540b95bf", "0x3", R"(["0x40","0x0","0x40"])", "PUSH1"},
        {17, 96, "0x2540b95bc", "0x3", R"(["0x40","0x0","0x40","0x0"])", "PUSH1"},
        {19, 90, "0x2540b95b9", "0x2", R"(["0x40","0x0","0x40","0x0","0x2"])", "GAS"},
        {20, 250, "0x2540b95b7", "0x24abb676c",
         R"(["0x40","0x0","0x40","0x0","0x2","0x2540b95b7"])", "STATICCALL"},
        {21, 96, "0x2540b92a7", "0x3", R"(["0x1"])", "PUSH1"},
        {23, 243, "0x2540b92a4", "0x0", R"(["0x1","0x40"])", "RETURN"},
    };
    ASSERT_EQ(lines.size(), std::size(rows));
    for (size_t i = 0; i < lines.size(); ++i) {
        EXPECT_EQ(field(lines[i], "pc"), std::to_string(rows[i].pc));
        EXPECT_EQ(field(lines[i], "op"), std::to_string(rows[i].op));
        EXPECT_EQ(field(lines[i], "gas"), rows[i].gas);
        EXPECT_EQ(field(lines[i], "gasCost"), rows[i].cost);
        EXPECT_EQ(field(lines[i], "stack"), rows[i].stack);
        EXPECT_EQ(field(lines[i], "opName"), rows[i].name);
        EXPECT_EQ(field(lines[i], "depth"), "1");
        EXPECT_EQ(field(lines[i], "memSize"), i < 3 ? "0" : "96");
        EXPECT_EQ(field(lines[i], "returnData"),
                  i < 13 ? "0x"
                         : "0xf5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b");
    }
}

// --- Calls ---

TEST(Eip3155, ACallCostsWhatItHandsOnAndItsCalleeIsOneDeeper) {
    Machine m;
    m.deploy(other_address, Code().push(U256{7}).op(Opcode::pop));
    // Cold account 2,600 (EIP-2929) and 5,000 handed on, of which the callee uses 5.
    EXPECT_THAT(in_short(trace(m, Code().call(other_address, 0, 5000), {.gas = 100'000})),
                ElementsAre("0 PUSH1 100000-3 [] 1", "2 PUSH1 99997-3 [0x0] 1",
                            "4 PUSH1 99994-3 [0x0,0x0] 1", "6 PUSH1 99991-3 [0x0,0x0,0x0] 1",
                            "8 PUSH1 99988-3 [0x0,0x0,0x0,0x0] 1",
                            "10 PUSH2 99985-3 [0x0,0x0,0x0,0x0,0x0] 1",
                            "13 PUSH2 99982-3 [0x0,0x0,0x0,0x0,0x0,0x7e8] 1",
                            "16 CALL 99979-7600 [0x0,0x0,0x0,0x0,0x0,0x7e8,0x1388] 1",
                            "0 PUSH1 5000-3 [] 2", "2 POP 4997-2 [0x7] 2", "3 STOP 4995-0 [] 2",
                            "17 STOP 97374-0 [0x1] 1"));
}

TEST(Eip3155, AllButOne64thIsHandedOnAtMost) {
    Machine m;
    m.deploy(other_address, Code().op(Opcode::stop));
    const Code code = Code().delegatecall(other_address, ~U256{});
    // 100,000 - 18 for six pushes; 97,382 after the cold account, less its 64th, 1,521.
    EXPECT_THAT(tail(trace(m, code, {.gas = 100'000}), 3),
                ElementsAre(HasSubstr("DELEGATECALL 99982-98461 "), "0 STOP 95861-0 [] 2",
                            HasSubstr("STOP 97382-0 [0x1] 1")));
}

TEST(Eip3155, AStipendIsInNoPrice) {
    Machine m;
    m.state.set_balance(self_address, U256{10});
    m.deploy(other_address, Code().op(Opcode::stop));
    // 2,600 and 9,000 for the value; nothing is handed on, the callee gets 2,300 all the same.
    EXPECT_THAT(tail(trace(m, Code().call(other_address, 1, 0), {.gas = 50'000}), 3),
                ElementsAre(HasSubstr("CALL 49979-11600 "), "0 STOP 2300-0 [] 2",
                            HasSubstr("STOP 40679-0 [0x1] 1")));
}

TEST(Eip3155, ACallThatCannotRunCostsTheSameAndGetsItsGasBack) {
    Machine m;
    m.deploy(other_address, Code().op(Opcode::stop));
    // The caller has no balance to send.
    EXPECT_THAT(tail(trace(m, Code().call(other_address, 1, 1000), {.gas = 50'000}), 2),
                ElementsAre(HasSubstr("CALL 49979-12600 "), HasSubstr("STOP 40679-0 [0x0] 1")));
}

TEST(Eip3155, PrecompilesAndAccountsWithoutCodeHaveNoLines) {
    Machine m;
    // The identity contract takes 15 for no words; precompiles are warm.
    EXPECT_THAT(tail(trace(m, Code().staticcall(address_of(4), 400), {.gas = 10'000}), 2),
                ElementsAre(HasSubstr("STATICCALL 9982-500 "), HasSubstr("STOP 9867-0 [0x1] 1")));
    EXPECT_THAT(tail(trace(m, Code().staticcall(address_of(0x999), 400), {.gas = 10'000}), 2),
                ElementsAre(HasSubstr("STATICCALL 9982-3000 "), HasSubstr("STOP 7382-0 [0x1] 1")));
}

TEST(Eip3155, ADelegationIsPartOfThePriceOfTheCall) {
    Machine m;
    const Address target = address_of(0xde1e);
    m.deploy(target, Code().op(Opcode::stop));
    m.deploy(other_address, delegation_designator(target));
    EXPECT_THAT(tail(trace(m, Code().call(other_address, 0, 100), {.gas = 50'000}), 3),
                ElementsAre(HasSubstr("CALL 49979-5300 "), "0 STOP 100-0 [] 2",
                            HasSubstr("STOP 44779-0 [0x1] 1")));
}

TEST(Eip3155, FrontierHandsOnWhatIsAskedFor) {
    Machine m{Revision::frontier};
    m.deploy(other_address, Code().op(Opcode::stop));
    EXPECT_THAT(tail(trace(m, Code().call(other_address, 0, 900), {.gas = 1000}), 3),
                ElementsAre(HasSubstr("CALL 979-940 "), "0 STOP 900-0 [] 2",
                            HasSubstr("STOP 939-0 [0x1] 1")));
    EXPECT_THAT(tail(trace(m, Code().call(other_address, 0, 940), {.gas = 1000}), 1),
                ElementsAre(testing::AllOf(HasSubstr("CALL 979-980 "), HasSubstr(" out of gas"))));
}

TEST(Eip3155, NestedCallsComeInTheOrderOfExecution) {
    Machine m;
    const Address third = address_of(0x333);
    m.deploy(third, Code().push(U256{3}));
    m.deploy(other_address, Code().call(third, 0, 10'000).op(Opcode::pop));
    std::string order;
    for (const std::string& l : trace(m, Code().call(other_address, 0, 50'000))) {
        order += field(l, "depth");
    }
    EXPECT_EQ(order, "11111111"  // seven pushes, CALL
                     "22222222"  // the same one deeper
                     "33"        // PUSH1, STOP
                     "22"        // POP, STOP
                     "1");
}

// --- Ends ---

TEST(Eip3155, RevertIsOneLineWithItsError) {
    Machine m;
    m.deploy(other_address, Code().mstore(0, 0xab).revert(31, 1));
    const Lines lines =
        trace(m, Code().call(other_address, 0, 1000), {.gas = 100'000}, {.return_data = true});
    EXPECT_THAT(tail(lines, 3),
                ElementsAre(HasSubstr("PUSH1 985-3 [0x1] 2 mem 32"),
                            HasSubstr("REVERT 982-0 [0x1,0x1f] 2 mem 32 execution reverted"),
                            HasSubstr("STOP 97361-0 [0x0] 1")));
    EXPECT_EQ(field(lines.back(), "returnData"), "0xab");
}

TEST(Eip3155, MemoryThatReturnNeedsIsItsPrice) {
    Machine m;
    // Three words.
    EXPECT_THAT(tail(trace(m, Code().ret(64, 1), {.gas = 100}), 1),
                ElementsAre("4 RETURN 94-9 [0x1,0x40] 1"));
}

/// Code, gas, and the last line it must end with.
struct Ending {
    Code code;
    int64_t gas;
    const char* last;
};

void expect_endings(Machine& m, const std::vector<Ending>& endings, bool is_static = false) {
    for (const Ending& e : endings) {
        const RunOptions options{.gas = e.gas, .is_static = is_static};
        EXPECT_THAT(tail(trace(m, e.code, options), 1), ElementsAre(e.last)) << to_hex(e.code);
    }
}

TEST(Eip3155, OutOfGasShowsWhatTheInstructionAskedFor) {
    Machine m;
    const U256 word = shl(U256{1}, 255);
    expect_endings(
        m,
        {
            {Code().push(1), 2, "0 PUSH1 2-3 [] 1 out of gas"},
            {Code().push(1).op(Opcode::jumpdest), 3, "2 JUMPDEST 0-1 [0x1] 1 out of gas"},
            // 3 for MSTORE, 3 for each of 33 words and 33 * 33 / 512
            {Code().mstore(1024, 1), 50, "5 MSTORE 44-104 [0x1,0x400] 1 out of gas"},
            // 30, 6 a word; memory would come after
            {Code().push_all(64, 0).op(Opcode::keccak256), 40,
             "4 KECCAK256 34-42 [0x40,0x0] 1 out of gas"},
            {Code().push_all(64, 0).op(Opcode::keccak256), 50,
             "4 KECCAK256 44-48 [0x40,0x0] 1 out of gas"},
            // 10, 50 for each byte of the exponent
            {Code().push_all(256, 2).op(Opcode::exp), 100, "5 EXP 94-110 [0x100,0x2] 1 out of gas"},
            // memory for the destination, 3 a word
            {Code().push_all(64, 0, 0).op(Opcode::calldatacopy), 20,
             "6 CALLDATACOPY 11-15 [0x40,0x0,0x0] 1 out of gas"},
            {Code().push_all(64, 0, 0).op(Opcode::codecopy), 16,
             "6 CODECOPY 7-9 [0x40,0x0,0x0] 1 out of gas"},
            {Code().push_all(64, 0, 0).op(Opcode::mcopy), 20,
             "6 MCOPY 11-15 [0x40,0x0,0x0] 1 out of gas"},
            {Code().push(5).op(Opcode::sload), 2000, "2 SLOAD 1997-2100 [0x5] 1 out of gas"},
            {Code().push(other_address).op(Opcode::balance), 2000,
             "3 BALANCE 1997-2600 [0x7e8] 1 out of gas"},
            {Code().sstore(5, 1), 20'000, "4 SSTORE 19994-22100 [0x1,0x5] 1 out of gas"},
            {Code().push_all(3, 0).op(Opcode::log0), 400, "4 LOG0 394-402 [0x3,0x0] 1 out of gas"},
            {Code().push_all(7, 3, 0).op(Opcode::log1), 700,
             "6 LOG1 691-750 [0x7,0x3,0x0] 1 out of gas"},
            {Code().staticcall(other_address, 0), 2000,
             "13 STATICCALL 1982-2600 [0x0,0x0,0x0,0x0,0x7e8,0x0] 1 out of gas"},
            {Code().call(other_address, 1, 0), 12'000,
             "15 CALL 11979-36600 [0x0,0x0,0x0,0x0,0x1,0x7e8,0x0] 1 out of gas"},
            {Code().push_all(0, 0, 0).op(Opcode::create), 32'008,
             "6 CREATE 31999-32000 [0x0,0x0,0x0] 1 out of gas"},
            // 2 words of init code at 2, and their memory
            {Code().push_all(33, 0, 0).op(Opcode::create), 32'015,
             "6 CREATE 32006-32010 [0x21,0x0,0x0] 1 out of gas"},
            {Code().push_all(0, 33, 0, 0).op(Opcode::create2), 32'020,
             "8 CREATE2 32008-32022 [0x0,0x21,0x0,0x0] 1 out of gas"},
            {Code().push(other_address).op(Opcode::selfdestruct), 6000,
             "3 SELFDESTRUCT 5997-7600 [0x7e8] 1 out of gas"},
            // EIP-2200 refuses to look at the slot: the price is not come to.
            {Code().sstore(5, 1), 2306, "4 SSTORE 2300-0 [0x1,0x5] 1 out of gas"},
        });
    // No amount would have done: one more than there is.
    expect_endings(m, {{Code().push(word).op(Opcode::mload), 1000,
                        "33 MLOAD 997-998 "
                        "[0x8000000000000000000000000000000000000000000000000000000000000000] 1 "
                        "out of gas"}});
}

TEST(Eip3155, AnInstructionThatCannotRunCostsWhatItWasChargedUpToThere) {
    Machine m;
    Code full;
    for (int i = 0; i < 1024; ++i) { full.op(Opcode::push0); }
    expect_endings(
        m,
        {
            {Code().push(1).op(Opcode::add), 100, "2 ADD 97-0 [0x1] 1 stack underflow"},
            {Code().op(0x0c), 100, "0 UNDEFINED 100-0 [] 1 undefined opcode"},
            {Code().op(Opcode::invalid), 100, "0 INVALID 100-0 [] 1 invalid opcode"},
            {Code().push(4).op(Opcode::jump), 100, "2 JUMP 97-8 [0x4] 1 invalid jump destination"},
            {Code().push_all(1, 2).op(Opcode::jumpi), 100,
             "4 JUMPI 94-10 [0x1,0x2] 1 invalid jump destination"},
            {Code().push_all(1, 0, 0).op(Opcode::returndatacopy), 100,
             "6 RETURNDATACOPY 91-6 [0x1,0x0,0x0] 1 return data out of bounds"},
            {Code().push_all(49153, 0, 0).op(Opcode::create), 100'000,
             "7 CREATE 99991-41225 [0xc001,0x0,0x0] 1 max initcode size exceeded"},
        });
    full.push(1);
    EXPECT_THAT(tail(trace(m, full), 1),
                ElementsAre(testing::AllOf(HasSubstr("1024 PUSH1 997952-0 [0x0,"),
                                           HasSubstr("] 1 stack overflow"))));
}

TEST(Eip3155, AnInstructionOfALaterForkIsUndefined) {
    Machine m{Revision::london};
    expect_endings(m, {{Code().op(Opcode::push0), 9, "0 PUSH0 9-0 [] 1 undefined opcode"}});
}

TEST(Eip3155, WritingInAStaticFrameIsAnErrorOfItsLine) {
    Machine m;
    expect_endings(m,
                   {{Code().sstore(1, 2), 5000, "4 SSTORE 4994-0 [0x2,0x1] 1 write protection"},
                    {Code().push_all(2, 1).op(Opcode::tstore), 500,
                     "4 TSTORE 494-100 [0x2,0x1] 1 write protection"},
                    {Code().push_all(0, 0).op(Opcode::log0), 500,
                     "4 LOG0 494-375 [0x0,0x0] 1 write protection"},
                    {Code().push_all(0, 0, 0).op(Opcode::create), 40'000,
                     "6 CREATE 39991-32000 [0x0,0x0,0x0] 1 write protection"},
                    {Code().push(1).op(Opcode::selfdestruct), 40'000,
                     "2 SELFDESTRUCT 39997-0 [0x1] 1 write protection"},
                    {Code().call(other_address, 1, 0), 40'000,
                     "15 CALL 39979-0 [0x0,0x0,0x0,0x0,0x1,0x7e8,0x0] 1 write protection"}},
                   true);
}

TEST(Eip3155, AFailedCalleeLosesItsGas) {
    Machine m;
    m.deploy(other_address, Code().push(1).op(Opcode::invalid));
    EXPECT_THAT(tail(trace(m, Code().call(other_address, 0, 5000), {.gas = 100'000}), 3),
                ElementsAre("0 PUSH1 5000-3 [] 2", "2 INVALID 4997-0 [0x1] 2 invalid opcode",
                            HasSubstr("STOP 92379-0 [0x0] 1")));
}

// --- Creations, refunds, removal ---

TEST(Eip3155, ACreationCostsWithoutTheGasOfItsInitCode) {
    Machine m;
    // PUSH1 1, PUSH1 0, RETURN: deploys one zero byte for 200
    const Bytes init = *from_hex("60016000f3");
    const Code code =
        Code().put(init).push_all(init.size(), 0, 0).op(Opcode::create).op(Opcode::pop);
    // MSTORE 6 with its word, so 99,979 are left for CREATE; 32,002 for it, 2 for a word of code.
    const Lines lines = trace(m, code, {.gas = 100'000});
    EXPECT_THAT(tail(lines, 6),
                ElementsAre(HasSubstr("CREATE 99979-32002 [0x5,0x0,0x0] 1 mem 32"),
                            "0 PUSH1 66915-3 [] 2", "2 PUSH1 66912-3 [0x1] 2",
                            "4 RETURN 66909-3 [0x1,0x0] 2", HasSubstr("POP 67768-2 [0x"),
                            HasSubstr("STOP 67766-0 [] 1 mem 32")));
}

TEST(Eip3155, AFailedCreationLeavesZero) {
    Machine m;
    const Code code = Code().put(*from_hex("fe")).push_all(1, 0, 0).op(Opcode::create);
    EXPECT_THAT(tail(trace(m, code, {.gas = 100'000}), 3),
                ElementsAre(HasSubstr("CREATE 99979-32002 [0x1,0x0,0x0] 1 mem 32"),
                            "0 INVALID 66915-0 [] 2 invalid opcode",
                            HasSubstr("STOP 1062-0 [0x0] 1 mem 32")));
}

TEST(Eip3155, ARefundShowsFromTheNextInstructionOnAndGoesWithARevert) {
    Machine m;
    m.state.set_storage(self_address, 1, 9);
    // Clearing a slot: 2,100 cold, 2,900, and 4,800 to come back (EIP-3529).
    EXPECT_THAT(tail(trace(m, Code().sstore(1, 0), {.gas = 10'000}), 2),
                ElementsAre("4 SSTORE 9994-5000 [0x0,0x1] 1", "5 STOP 4994-0 [] 1 refund 4800"));

    m.state.set_storage(other_address, 1, 9);
    m.deploy(other_address, Code().sstore(1, 0).op(Opcode::invalid));
    EXPECT_THAT(tail(trace(m, Code().call(other_address, 0, 9000), {.gas = 100'000}), 2),
                ElementsAre("5 INVALID 3994-0 [] 2 refund 4800 invalid opcode",
                            HasSubstr("STOP 88379-0 [0x0] 1")));
}

TEST(Eip3155, SelfdestructEndsItsFrame) {
    Machine m;
    m.state.set_balance(self_address, U256{5});
    // 5,000, 2,600 for a cold account and 25,000 because it comes into being
    EXPECT_THAT(tail(trace(m, Code().push(other_address).op(Opcode::selfdestruct)), 1),
                ElementsAre("3 SELFDESTRUCT 999997-32600 [0x7e8] 1"));
    Machine frontier{Revision::frontier};
    EXPECT_THAT(tail(trace(frontier, Code().push(other_address).op(Opcode::selfdestruct)), 1),
                ElementsAre("3 SELFDESTRUCT 999997-0 [0x7e8] 1"));
}

// --- Sums ---

/// Checks from a frame's first line at `i` that its prices add up: with what its calls brought
/// back they are the gas that it used. Moves `i` behind the frame, gives the gas that it leaves.
int64_t add_up(const Lines& lines, size_t& i) {
    const int64_t depth = number(lines[i], "depth");
    int64_t gas = number(lines[i], "gas");
    for (;;) {
        const std::string& l = lines[i];
        EXPECT_EQ(number(l, "depth"), depth) << l;
        EXPECT_EQ(number(l, "gas"), gas) << l;
        const std::string error = field(l, "error");
        const std::string name = field(l, "opName");
        ++i;
        if (!error.empty() && error != "execution reverted") {
            EXPECT_TRUE(error != "out of gas" || number(l, "gasCost") > gas ||
                        (name == "SSTORE" && gas <= 2300))
                << l;
            return 0;
        }
        gas -= number(l, "gasCost");
        EXPECT_GE(gas, 0) << l;
        if (name == "STOP" || name == "RETURN" || !error.empty()) { return gas; }
        if (i < lines.size() && number(lines[i], "depth") > depth) { gas += add_up(lines, i); }
    }
}

TEST(Eip3155, PricesAddUpToTheGasUsedWhateverTheLimit) {
    Machine m;
    const Address failing = address_of(0xfa11);
    const Address reverting = address_of(0x4e5e);
    m.deploy(failing, Code().sstore(1, 1).push(0).op(Opcode::jump));
    m.deploy(reverting, Code().mstore(320, 1).sstore(2, 2).revert(0, 32));
    m.deploy(other_address, Code()
                                .call(failing, 0, 3000)
                                .delegatecall(reverting, 30'000)
                                .push_all(64, 0)
                                .op(Opcode::keccak256)
                                .call(failing, 0, ~U256{})
                                .ret(0, 32));
    const Code code = Code()
                          .sstore(7, 7)
                          .call(other_address, 0, 60'000)
                          .staticcall(other_address, 20'000)
                          .call(reverting, 0, ~U256{})
                          .sstore(7, 0)
                          .ret(0, 64);
    size_t frames = 0;
    for (int64_t gas = 1; gas < 200'000; gas = gas * 33 / 32 + 1) {
        Outcome o;
        const Lines lines =
            lines_of([&](Tracer& tracer) { o = m.run(code, {.gas = gas, .tracer = &tracer}); });
        size_t i = 0;
        ASSERT_EQ(gas - add_up(lines, i), o.gas_used) << "limit " << gas;
        ASSERT_EQ(i, lines.size()) << "limit " << gas;
        for (const std::string& l : lines) { frames += field(l, "pc") == "0" ? 1 : 0; }
    }
    EXPECT_GT(frames, 500u) << "the limits hardly reach the inner frames";
}

}  // namespace
}  // namespace millrace::evm
