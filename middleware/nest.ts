import type {
  BeforeApplicationShutdown,
  CanActivate,
  DynamicModule,
  ModuleMetadata,
  Provider,
  Type,
} from '@nestjs/common'
import { Inject, Module } from '@nestjs/common'
import { Streamer } from '../src/index.js'
import type { OptionTable } from '../src/for-middleware.js'
import { callback, checkOptions, flag, given, refuse } from '../src/for-middleware.js'
import type { MountOptions, MountPaths } from './mount.js'
import { Mount, PATHS_CHECK } from './mount.js'
import type { NestRequest } from './nest-routes.js'
import { controllerFor, MOUNT } from './nest-routes.js'

export type { AuthenticateOptions, TokenSource } from './authenticate.js'
export type { AutoClientOptions } from './auto-client.js'
export type { Authorize, PrincipalOptions, StreamOptions } from './request-context.js'
export type { CrossSiteOptions } from '../src/for-middleware.js'
export type { JwtOptions } from './jwt.js'
export { jwt } from './jwt.js'
export type { MountOptions, MountPaths } from './mount.js'
export type { NestRequest } from './nest-routes.js'
export type { Grant } from './patterns.js'
export { patterns } from './patterns.js'
export type { HeaderTarget } from './position.js'
export { setPosition } from './position.js'

/** What decides on the routes, and is known before the module is made. */
export interface UnifrostRoutes {
  /** Guards of all routes, as in `@UseGuards`. Default: none but the application's own. */
  guards?: readonly (Type<CanActivate> | CanActivate)[]
  /** Where the routes are; false leaves one out. Default: `events`, `clients`, `subscriptions`. */
  paths?: MountPaths
  /** Whether all modules may have the Streamer injected. Default: false, those that import this. */
  isGlobal?: boolean
}

/** Options of `UnifrostModule.forRoot`. */
export interface UnifrostModuleOptions<Principal = unknown>
  extends MountOptions<NestRequest, Principal>, UnifrostRoutes {}

/** Options of `UnifrostModule.forRootAsync`. */
export interface UnifrostModuleAsyncOptions<Principal = unknown> extends UnifrostRoutes {
  /** Modules whose providers the factory or the guards need. */
  imports?: NonNullable<ModuleMetadata['imports']>
  /** What the factory is called with. */
  inject?: NonNullable<Extract<Provider, { useFactory: unknown }>['inject']>
  /** Makes the options. */
  useFactory: (
    // Each provider has a type of its own, which the factory knows.
    ...providers: never[]
  ) =>
    | Omit<MountOptions<NestRequest, Principal>, 'paths'>
    | Promise<Omit<MountOptions<NestRequest, Principal>, 'paths'>>
}

const isList = (value: unknown) => Array.isArray(value)
const ROUTES = {
  guards: given([isList, 'a list of guards']),
  paths: PATHS_CHECK,
  isGlobal: flag,
} satisfies OptionTable

/**
 * A NestJS module with the routes of a Streamer: `GET /events` streams a client's events, `POST` and
 * `DELETE /clients` make and remove clients, and `POST /subscriptions` changes a client's topics. It
 * runs on the platforms Express and Fastify. Providers get the Streamer by its class.
 *
 * The streams end before the server closes (`beforeApplicationShutdown`): a server that still has
 * open streams would wait for them.
 */
export class UnifrostModule implements BeforeApplicationShutdown {
  constructor(private readonly mount: Mount<NestRequest>) {}

  /** @throws OptionsError */
  static forRoot<Principal = unknown>(options: UnifrostModuleOptions<Principal>): DynamicModule {
    const mount = new Mount('UnifrostModule.forRoot', options, ROUTES)
    return moduleOf(options, { provide: MOUNT, useValue: mount })
  }

  /** @throws OptionsError; what the factory makes is checked when the application starts. */
  static forRootAsync<Principal = unknown>(
    options: UnifrostModuleAsyncOptions<Principal>,
  ): DynamicModule {
    const caller = 'UnifrostModule.forRootAsync'
    checkOptions(caller, options, {
      ...ROUTES,
      imports: [isList, 'a list of modules'],
      inject: [isList, 'a list of what the factory is called with'],
      useFactory: given(callback('a function to the options')),
    })
    const { imports = [], inject = [], useFactory } = options
    if (useFactory === undefined) {
      refuse(caller, 'useFactory', useFactory, 'a function to the options')
    }
    const provider: Provider = {
      provide: MOUNT,
      inject,
      useFactory: async (...providers: never[]) =>
        new Mount(caller, await useFactory(...providers)),
    }
    return { ...moduleOf(options, provider), imports }
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.mount.close()
  }
}

// Decorators as functions, so that no compiler option is needed to build this.
Module({})(UnifrostModule)
Inject(MOUNT)(UnifrostModule, undefined, 0)

function moduleOf(
  { guards = [], paths, isGlobal = false }: UnifrostRoutes,
  mount: Provider,
): DynamicModule {
  const streamer: Provider = {
    provide: Streamer,
    inject: [MOUNT],
    useFactory: (made: Mount<NestRequest>) => made.streamer,
  }
  return {
    module: UnifrostModule,
    global: isGlobal,
    controllers: [controllerFor(paths, guards)],
    providers: [mount, streamer],
    exports: [Streamer],
  }
}
