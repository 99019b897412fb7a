# -*- encoding: utf-8 -*-
# stub: demo 1.2 x86_64-linux lib

Gem::Specification.new do |s|
  s.name = "demo".freeze
  s.version = "1.2"
  s.platform = "x86_64-linux".freeze
  s.licenses = ["MIT".freeze, "Ruby".freeze]
  s.summary = "Shows what a specification holds".freeze

  if s.respond_to? :add_runtime_dependency then
    s.add_runtime_dependency(%q<rack>.freeze, ["~> 2.2"])
    s.add_development_dependency(%q<minitest>.freeze, [">= 0"])
    s.add_runtime_dependency(%q<tilt>.freeze, [">= 2", "< 4"])
  else
    s.add_dependency(%q<rack>.freeze, ["~> 2.2"])
    s.add_dependency(%q<minitest>.freeze, [">= 0"])
  end
end
