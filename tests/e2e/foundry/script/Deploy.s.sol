// SPDX-License-Identifier: Apache-2.0
// Owns the script that forge broadcasts: one deployment and three calls, in order.
pragma solidity ^0.8.20;

import {Counter} from "../src/Counter.sol";

interface Vm {
    function startBroadcast() external;
    function stopBroadcast() external;
}

contract Deploy {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    bool public constant IS_SCRIPT = true;

    function run() external returns (address deployed) {
        vm.startBroadcast();
        Counter counter = new Counter(40);
        counter.increment();
        counter.increment();
        counter.increment();
        vm.stopBroadcast();
        require(counter.number() == 43, "the simulation counts to 43");
        return address(counter);
    }
}
