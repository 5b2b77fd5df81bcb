// SPDX-License-Identifier: Apache-2.0

public import ArgumentParser
public import WeftEngine

// Their cases have the spelling of the command line.
extension EngineOptions.KVType: ExpressibleByArgument {}
extension ContextPolicy: ExpressibleByArgument {}
extension MixtureSearch.Method: ExpressibleByArgument {}
